"""Whole models: lowered, saved without XLA, and in TensorFlow.js."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from exporter.commands.progress import Progress
from exporter.errors import CheckFailed, UserError
from exporter.formats.tfjs import Options, UnsupportedOp, export, graph_model, node
from exporter.model import Model, TensorSpec
from tests import models
from tests.support import needs
from tests.support.lowering import lower

BATCHES = (1, 3, 17)
ROOT = Path(__file__).parents[2]

needs_node = pytest.mark.usefixtures("tensorflow_js")


@pytest.fixture(scope="module")
def tensorflow_js():
    needs.tensorflow_js()


@pytest.fixture(scope="module", params=models.NAMES)
def model(request):
    return models.build(request.param)


@pytest.fixture(scope="module")
def answers(model):
    cases = [models.inputs(model, size) for size in BATCHES]
    return [(case, jax.tree.leaves(jax.jit(model.func)(model.params, case))) for case in cases]


def test_lowered_graph_is_jax(model, answers):
    module = lower(model)
    for case, expected in answers:
        for wanted, got in zip(expected, jax.tree.leaves(module(case)), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


LOAD = """
import json, sys
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
signature = loaded.signatures["serving_default"]
graph = signature.graph.as_graph_def()
functions = [n.op for f in graph.library.function for n in f.node_def]
data = np.load(sys.argv[2])
names = list(signature.structured_input_signature[1])
sizes = json.loads(sys.argv[3])
answers = {
    f"{size}/{name}": value.numpy()
    for size in sizes
    for name, value in signature(**{n: tf.constant(data[f"{size}/{n}"]) for n in names}).items()
}
np.savez(sys.argv[4], **answers)
print(json.dumps(sorted({n.op for n in graph.node} | set(functions))))
"""


def test_saved_model_answers_with_xla_disabled(model, answers, tmp_path):
    module = lower(model)
    module.save(tmp_path / "saved")
    flat = {
        f"{size}/{name}": leaf
        for size, (case, _) in zip(BATCHES, answers, strict=True)
        for name, leaf in zip(module.input_names, jax.tree.leaves(case), strict=True)
    }
    np.savez(tmp_path / "inputs.npz", **flat)
    arguments = ["saved", "inputs.npz", json.dumps(BATCHES), "outputs.npz"]
    process = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments],
        cwd=tmp_path,
        env=os.environ | {"TF_XLA_FLAGS": "--tf_xla_auto_jit=-1 --tf_xla_enable_xla_devices=false"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not [op for op in json.loads(process.stdout) if "Xla" in op]
    outputs = np.load(tmp_path / "outputs.npz")
    for size, (_, expected) in zip(BATCHES, answers, strict=True):
        for name, wanted in zip(module.output_names, expected, strict=True):
            np.testing.assert_allclose(outputs[f"{size}/{name}"], wanted, rtol=1e-5, atol=1e-6)


@needs_node
def test_tensorflow_js_is_jax(model, tmp_path):
    result = export(model, tmp_path / "model", Options(batch_sizes=BATCHES), stage=Progress())
    assert {d.runtime for d in result.differences} == {"tensorflow", "cpu", "wasm"}
    assert {d.batch_size for d in result.differences} == set(BATCHES)
    assert max(d.from_jax for d in result.differences) < 1e-5
    document = json.loads((tmp_path / "model" / "model.json").read_text())
    assert set(document["signature"]["outputs"]) == {d.output for d in result.differences}


@needs_node
@pytest.mark.parametrize("weights", ["float16", "uint8"])
def test_quantised_weights_are_smaller_and_what_the_graph_says(weights, tmp_path):
    model = models.build("mnist_cnn")
    sizes = {}
    for kind in ("float32", weights):
        result = export(model, tmp_path / kind, Options(weights=kind), stage=Progress())
        sizes[kind] = sum(p.stat().st_size for p in (tmp_path / kind).glob("*.bin"))
        assert sizes[kind] == result.num_bytes
    assert sizes[weights] < sizes["float32"] * {"float16": 0.52, "uint8": 0.28}[weights]
    assert max(d.from_graph for d in result.differences) < 1e-5
    assert max(d.from_jax for d in result.differences) > 1e-6


@needs_node
def test_shards_of_four_megabytes(tmp_path):
    kernel = jax.random.normal(jax.random.key(0), (1500, 1500)) / 40
    model = Model("wide", lambda p, x: x @ p @ p.T, kernel, TensorSpec(("b", 1500)))
    export(model, tmp_path / "wide", Options(batch_sizes=(1,)), stage=Progress())
    sizes = sorted(p.stat().st_size for p in (tmp_path / "wide").glob("*.bin"))
    assert sizes[-1] == 4 * 2**20
    assert len(sizes) == -(-sum(sizes) // (4 * 2**20)) > 1


def test_op_without_kernel_is_named_with_its_backend(tmp_path):
    model = Model("f", lambda p, x: jax.numpy.abs(jax.numpy.fft.rfft(x)), {}, TensorSpec(("b", 8)))
    with pytest.raises(UnsupportedOp, match=r"RFFT.* on wasm: no kernel .*FFT"):
        export(model, tmp_path / "out", Options(verify_in_node=False), stage=Progress())
    assert list(tmp_path.iterdir()) == []
    erf_inv = Model("e", lambda p, x: jax.lax.erf_inv(x), {}, TensorSpec(("b", 8)))
    with pytest.raises(UnsupportedOp, match=r"has no op Erfinv"):
        export(erf_inv, tmp_path / "out", Options(verify_in_node=False), stage=Progress())


def test_nothing_is_written_when_the_answers_differ(tmp_path):
    model = models.build("mnist_mlp")
    calls = iter(range(100))
    # A function that isn't pure: another answer each time it is traced.
    impure = Model(
        "impure", lambda p, x: model.func(p, x) + next(calls), model.params, model.inputs
    )
    with pytest.raises(CheckFailed, match=r"impure: output_0 on tensorflow at batch 1 differs"):
        export(impure, tmp_path / "out", Options(verify_in_node=False), stage=Progress())
    assert list(tmp_path.iterdir()) == []


@needs_node
def test_a_damaged_model_fails_in_node(tmp_path):
    model = models.build("mnist_mlp")
    out = tmp_path / "out"
    export(model, out, Options(verify_in_node=False), stage=Progress())
    (out / graph_model.MODEL_FILE).write_text(
        (out / graph_model.MODEL_FILE).read_text().replace('"op":"Tanh"', '"op":"Nonsense"')
    )
    case = {"inputs": models.inputs(model, 1)}
    with pytest.raises(CheckFailed, match=r"TensorFlow\.js can't run the model: .*Nonsense"):
        node.run(out, [case], ["cpu"])


def test_a_directory_that_is_there_is_kept(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    model = models.build("mnist_mlp")
    with pytest.raises(UserError, match="exists"):
        export(model, tmp_path, stage=Progress())
    with pytest.raises(UserError, match=r"no model\.json"):
        export(model, tmp_path, Options(overwrite=True), stage=Progress())
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_missing_node_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"apt install nodejs.*--noverify_in_node"):
        export(models.build("mnist_mlp"), tmp_path / "out", stage=Progress())


def test_kernel_lists_are_those_of_the_packages(tmp_path):
    needs.page()
    script = ROOT / "scripts" / "tfjs_kernels.cjs"
    subprocess.run(["node", str(script), str(tmp_path / "kernels.json")], check=True)
    committed = ROOT / "exporter" / "formats" / "tfjs" / "kernels.json"
    assert (tmp_path / "kernels.json").read_text() == committed.read_text()
