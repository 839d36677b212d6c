"""Exports in plain TensorFlow operations: published, served, and run where there is no XLA."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
tf = needs.package("tensorflow", "exporter")

from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from artifact import golden, versions
from artifact.manifest import Manifest
from exporter import ExportOptions
from exporter.__main__ import main
from exporter.publish import version
from tests import models
from tests.support.exports import publish
from tests.support.servers import ROOT, ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
MUST_COMPILE = "_XlaMustCompile"
NAMES = ("mnist_cnn", "lstm")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A version of each model, verified before it was published."""
    base = tmp_path_factory.mktemp("plain")
    options = ExportOptions(
        xla=False, serving_batch_size=-1, check_batch_sizes=(1, 3), warmup_batch_sizes=(1,)
    )
    return {name: publish(models.build(name), base, options) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_version_is_whole_and_holds_nothing_of_xla(published, name):
    manifest = Manifest.read(published[name])
    assert {(p.through, p.batch_size) for p in manifest.parity if p.inputs == "random"} == {
        (through, size) for through in ("signature", "call", "program") for size in (1, 3)
    }
    assert "stablehlo" not in manifest.versions
    assert (published[name] / "assets.extra" / "serving_default.stablehlo").is_file()
    saved = SavedModel.FromString((published[name] / versions.SAVED_MODEL).read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    assert not [node.op for node in nodes if "Xla" in node.op]
    holders = [*nodes, *graph.library.function]
    assert not any(holder.attr[MUST_COMPILE].b for holder in holders if MUST_COMPILE in holder.attr)


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_in_tensorflow_with_xla_disabled(published, name):
    request = {"version_dir": str(published[name]), "cases": [str(published[name])]}
    flags = "--tf_xla_auto_jit=-1 --tf_xla_enable_xla_devices=false"
    done = subprocess.run(
        [sys.executable, "-m", "exporter.verify.reload"],
        input=json.dumps(request) + "\n",
        cwd=ROOT,
        env=os.environ | {"TF_XLA_FLAGS": flags},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert {d["batch_size"] for d in found} == {1, 3}
    assert not [d["problem"] for d in found if d["problem"]]


@pytest.mark.parametrize("engine", ["xla", "tensorflow"])
def test_the_server_chooses_the_engine_that_is_there(published, engine, tmp_path):
    """The version's JAX program where JAX is installed, TensorFlow without XLA elsewhere."""
    env = {}
    if engine == "tensorflow":
        (tmp_path / "jax.py").write_text('raise ModuleNotFoundError("no jax here", name="jax")')
        env["PYTHONPATH"] = str(tmp_path)
    base = published["mnist_cnn"].parent
    flags = ["--model_name=mnist_cnn", f"--model_base_path={base}"]
    with ServerProcess(tmp_path / "log", *flags, env=env) as server:
        assert f"loaded by engine {engine} " in server.log
        for case in golden.read(published["mnist_cnn"]).values():
            request = pb.PredictRequest(model_spec=pb.ModelSpec(name="mnist_cnn"))
            request.inputs["inputs"].CopyFrom(tensors.from_array(case.inputs["inputs"]))
            with server.channel() as channel:
                answer = services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
            found = tensors.to_array(answer.outputs["output_0"])
            np.testing.assert_allclose(found, case.outputs["output_0"], **CLOSE)


def test_what_is_not_covered_is_named_with_the_users_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "spectral.py").write_text(
        "import jax\n"
        "def func(params, x):\n"
        "    return jax.scipy.linalg.schur(x + params)[0]\n"
        "def build():\n"
        "    return func, jax.numpy.zeros(3), jax.ShapeDtypeStruct((1, 3, 3), 'float32')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["export", "spectral:build", "--no_xla", "--model_path", "out"]) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("exporter: ")]
    assert line.startswith("exporter: spectral can't be exported with --no_xla: schur (at ")
    assert f"{tmp_path / 'spectral.py'}:3" in line
    assert list((tmp_path / "out" / "spectral").iterdir()) == []


@pytest.mark.parametrize("name", ["sequences", "bfloat16", "scalars", "complex_filter"])
@pytest.mark.parametrize("serving_batch_size", [-1, 2])
def test_signatures_dtypes_and_batch_modes_are_those_of_other_exports(
    name, serving_batch_size, tmp_path
):
    options = ExportOptions(
        xla=False, serving_batch_size=serving_batch_size, check_batch_sizes=(1, 3)
    )
    manifest, _ = version.write(models.build(name), tmp_path, options)
    loaded = tf.saved_model.load(str(tmp_path))
    assert loaded.signatures.keys() == manifest.signatures.keys()
    for (signature, _), case in golden.read(tmp_path).items():
        inputs = {key: tf.constant(array) for key, array in case.inputs.items()}
        outputs = loaded.signatures[signature](**inputs)
        assert outputs.keys() == case.outputs.keys()
        for key, array in case.outputs.items():
            assert outputs[key].dtype == array.dtype.name
            # An output's own: processors round bfloat16's sums differently.
            tolerance = manifest.tolerance_of(signature, key)
            np.testing.assert_allclose(
                outputs[key].numpy().astype(np.complex128),
                array.astype(np.complex128),
                rtol=tolerance.rtol,
                atol=tolerance.atol,
            )


def test_gradients_are_those_of_jax(tmp_path):
    model = models.build("mnist_cnn")
    version.write(
        model,
        tmp_path,
        ExportOptions(xla=False, serving_batch_size=-1, with_gradient=True, check_batch_sizes=(1,)),
    )
    loaded = tf.saved_model.load(str(tmp_path))
    x = models.inputs(model, 3)
    weights = np.random.default_rng(1).normal(size=(3, 10)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(loaded(tf.constant(x)) * weights)
    found = tape.gradient(loss, loaded.variables)
    wanted = jax.grad(lambda p: (model.func(p, x) * weights).sum())(model.params)
    for ours, theirs in zip(found, jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def test_without_gradients_asking_for_one_says_so(published):
    loaded = tf.saved_model.load(str(published["lstm"]))
    x = tf.Variable(models.inputs(models.build("lstm"), 1))
    with tf.GradientTape() as tape, pytest.raises(LookupError, match="--with_gradient"):
        tape.gradient(loaded(x)[0], x)
