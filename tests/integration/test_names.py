"""Names that TensorFlow, its graphs or Python know otherwise, in each format."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
tf = needs.package("tensorflow", "exporter")
needs.package("ai_edge_litert", "reuse")

from exporter.commands.progress import Progress
from exporter.errors import UserError
from exporter.formats import tfjs, tflite
from exporter.formats.tfjs import node
from exporter.model import Model, TensorSpec
from exporter.publish.options import ExportOptions
from tests.support import exports

jnp = jax.numpy
INPUTS = {"my_input": np.ones((3, 4), np.float32), "class_": np.arange(3, dtype=np.float32)}


def func(params, inputs):
    return {
        "my-output": inputs["my-input"] @ params,
        "class": inputs["class"] + 1,
        "class_": inputs["class"] * 2,  # named like an input
        "a b/c": params,  # a constant, where there are no variables
        "same": inputs["class"],
    }


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Detection:
    """As somebody's model takes and gives it; TensorFlow knows no dataclasses of JAX."""

    scores: Any
    boxes: Any


@pytest.fixture(scope="module")
def model():
    params = jnp.arange(12.0).reshape(4, 3)
    inputs = {"my-input": TensorSpec(("b", 4)), "class": TensorSpec(("b",))}
    return Model("named", func, params, inputs)


def check(model, answers):
    expected = func(model.params, {"my-input": INPUTS["my_input"], "class": INPUTS["class_"]})
    assert answers.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(answers[name], array, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("xla", [True, False])
def test_saved_models(model, xla, tmp_path):
    version = exports.publish(model, tmp_path, ExportOptions(xla=xla, check_batch_sizes=(1, 3)))
    serve = tf.saved_model.load(str(version)).signatures["serving_default"]
    check(model, serve(**{name: tf.constant(array) for name, array in INPUTS.items()}))


@pytest.mark.slow
def test_tensorflow_js(model, tmp_path):
    needs.tensorflow_js()
    out = tmp_path / "out"
    tfjs.export(model, out, stage=Progress())
    # Twice: the first answers are disposed of, and with them nothing that the second ones need.
    for cases in node.run(out, [INPUTS, INPUTS]).values():
        for answers in cases:
            check(model, answers)


@pytest.mark.slow
def test_tensorflow_lite(model, tmp_path):
    (written,) = tflite.write(model, tmp_path, kinds=("float32",), batch_size=3)
    check(model, tflite.runner(written.path.read_bytes())(INPUTS))


def dataclass_model(inputs):
    def detect(params, x):
        rows = x["boxes"] if isinstance(x, dict) else x.boxes
        return Detection(scores=rows.sum(-1), boxes=rows @ params)

    return Model("detection", detect, jnp.ones((4, 2)), inputs)


def test_a_dataclass_comes_out_by_its_fields(tmp_path):
    model = dataclass_model({"boxes": TensorSpec(("b", 4))})
    version = exports.publish(model, tmp_path, ExportOptions(xla=False, verify=False))
    boxes = np.arange(8, dtype=np.float32).reshape(2, 4)
    answers = tf.saved_model.load(str(version)).signatures["serving_default"](boxes=boxes)
    np.testing.assert_allclose(answers["scores"], boxes.sum(-1))
    np.testing.assert_allclose(answers["boxes"], boxes @ np.ones((4, 2)))
    (written,) = tflite.write(model, tmp_path, kinds=("float32",), batch_size=2)
    answers = tflite.runner(written.path.read_bytes())({"boxes": boxes})
    np.testing.assert_allclose(answers["scores"], boxes.sum(-1))


def test_a_dataclass_of_inputs_is_refused_in_words(tmp_path):
    model = dataclass_model(Detection(TensorSpec(("b",)), TensorSpec(("b", 4))))
    with pytest.raises(UserError, match=r"^detection: a SavedModel takes .*Detection.*take a dict"):
        exports.publish(model, tmp_path, ExportOptions(verify=False))
    assert not list(tmp_path.glob("*/[0-9]*"))
