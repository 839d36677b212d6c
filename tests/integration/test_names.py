"""Names that TensorFlow, its graphs or Python know otherwise, in each format."""

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
tf = needs.package("tensorflow", "exporter")
needs.package("ai_edge_litert", "reuse")

from exporter.commands.progress import Progress
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
