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
from exporter.formats.tfjs import TfjsOptions, UnsupportedOp, export, graph_model, node
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


@pytest.fixture(scope="module")
def lowered(model):
    return lower(model)


def test_lowered_graph_is_jax(lowered, answers):
    for case, expected in answers:
        for wanted, got in zip(expected, jax.tree.leaves(lowered(case)), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


RUN = """
import json, sys
import numpy as np, tensorflow as tf

def run(saved, inputs, sizes, outputs):
    signature = tf.saved_model.load(saved).signatures["serving_default"]
    data = np.load(inputs)
    names = list(signature.structured_input_signature[1])
    answers = {
        f"{size}/{name}": value.numpy()
        for size in sizes
        for name, value in signature(**{n: tf.constant(data[f"{size}/{n}"]) for n in names}).items()
    }
    np.savez(outputs, **answers)
    graph = signature.graph.as_graph_def()
    functions = [n.op for f in graph.library.function for n in f.node_def]
    return sorted({n.op for n in graph.node} | set(functions))

for line in sys.stdin:
    print(json.dumps(run(*json.loads(line))), flush=True)
"""


@pytest.fixture(scope="module")
def run_without_xla():
    """`RUN`'s function in a process whose TensorFlow has no XLA; returns the graph's operations."""
    flags = "--tf_xla_auto_jit=-1 --tf_xla_enable_xla_devices=false"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", RUN],
        env=os.environ | {"TF_XLA_FLAGS": flags},
        stdin=pipe,
        stdout=pipe,
        text=True,
    ) as process:

        def run(*arguments):
            print(json.dumps(arguments), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield run
        process.stdin.close()


def test_saved_model_answers_with_xla_disabled(lowered, answers, run_without_xla, tmp_path):
    lowered.save(tmp_path / "saved")
    flat = {
        f"{size}/{name}": leaf
        for size, (case, _) in zip(BATCHES, answers, strict=True)
        for name, leaf in zip(lowered.input_names, jax.tree.leaves(case), strict=True)
    }
    np.savez(tmp_path / "inputs.npz", **flat)
    saved, inputs, outputs = (str(tmp_path / n) for n in ("saved", "inputs.npz", "outputs.npz"))
    operations = run_without_xla(saved, inputs, BATCHES, outputs)
    assert not [op for op in operations if "Xla" in op]
    found = np.load(outputs)
    for size, (_, expected) in zip(BATCHES, answers, strict=True):
        for name, wanted in zip(lowered.output_names, expected, strict=True):
            np.testing.assert_allclose(found[f"{size}/{name}"], wanted, rtol=1e-5, atol=1e-6)


@needs_node
def test_tensorflow_js_is_jax(model, tmp_path):
    result = export(model, tmp_path / "model", TfjsOptions(batch_sizes=BATCHES), stage=Progress())
    assert {d.runtime for d in result.differences} == {"tensorflow", "cpu", "wasm"}
    assert {d.batch_size for d in result.differences if d.inputs == "random"} == set(BATCHES)
    assert {d.inputs for d in result.differences} >= {"random", "edges"}
    ordinary = [d for d in result.differences if d.inputs in ("random", "examples")]
    assert max(d.from_jax for d in ordinary) < 1e-5
    document = json.loads((tmp_path / "model" / "model.json").read_text())
    assert set(document["signature"]["outputs"]) == {d.output for d in result.differences}


@needs_node
@pytest.mark.parametrize("weights", ["float16", "uint8"])
def test_quantised_weights_are_smaller_and_what_the_graph_says(weights, tmp_path):
    model = models.build("mnist_cnn")
    sizes = {}
    for kind in ("float32", weights):
        result = export(model, tmp_path / kind, TfjsOptions(weights=kind), stage=Progress())
        sizes[kind] = sum(p.stat().st_size for p in (tmp_path / kind).glob("*.bin"))
        assert sizes[kind] == result.num_bytes
    assert sizes[weights] < sizes["float32"] * {"float16": 0.52, "uint8": 0.28}[weights]
    ordinary = [d for d in result.differences if d.inputs in ("random", "examples")]
    assert max(d.from_graph for d in ordinary) < 1e-5
    assert max(d.from_jax for d in ordinary) > 1e-6


@needs_node
def test_shards_of_four_megabytes(tmp_path):
    kernel = jax.random.normal(jax.random.key(0), (1500, 1500)) / 40
    model = Model("wide", lambda p, x: x @ p @ p.T, kernel, TensorSpec(("b", 1500)))
    export(model, tmp_path / "wide", TfjsOptions(batch_sizes=(1,)), stage=Progress())
    sizes = sorted(p.stat().st_size for p in (tmp_path / "wide").glob("*.bin"))
    assert sizes[-1] == 4 * 2**20
    assert len(sizes) == -(-sum(sizes) // (4 * 2**20)) > 1


def test_op_without_kernel_is_named_with_its_backend(tmp_path):
    model = Model("f", lambda p, x: jax.numpy.abs(jax.numpy.fft.rfft(x)), {}, TensorSpec(("b", 8)))
    with pytest.raises(UnsupportedOp, match=r"RFFT.* on wasm: no kernel .*FFT"):
        export(model, tmp_path / "out", TfjsOptions(verify_in_node=False), stage=Progress())
    assert list(tmp_path.iterdir()) == []
    digamma = Model("e", lambda p, x: jax.lax.digamma(x), {}, TensorSpec(("b", 8)))
    with pytest.raises(UnsupportedOp, match=r"has no op Digamma"):
        export(digamma, tmp_path / "out", TfjsOptions(verify_in_node=False), stage=Progress())


def test_nothing_is_written_when_the_answers_differ(tmp_path):
    model = models.build("mnist_mlp")

    def traced_otherwise(params, x):
        """One more where it is traced: what tracing bakes in isn't what the function says."""
        return model.func(params, x) + isinstance(x, jax.core.Tracer)

    impure = Model("impure", traced_otherwise, model.params, model.inputs)
    with pytest.raises(CheckFailed, match=r"impure: output_0 on tensorflow at batch 1 .*differs"):
        export(impure, tmp_path / "out", TfjsOptions(verify_in_node=False), stage=Progress())
    assert list(tmp_path.iterdir()) == []


@needs_node
def test_a_damaged_model_fails_in_node(tmp_path):
    model = models.build("mnist_mlp")
    out = tmp_path / "out"
    export(model, out, TfjsOptions(verify_in_node=False), stage=Progress())
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
        export(model, tmp_path, TfjsOptions(overwrite=True), stage=Progress())
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
