"""Models in the LiteRT interpreter: float as exact as JAX, quantised smaller and close."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")
needs.package("tensorflow", "exporter")
needs.package("ai_edge_litert", "reuse")

from artifact import golden
from exporter import model_from_function
from exporter.__main__ import main
from exporter.errors import UserError
from exporter.formats import tflite
from tests import models


@pytest.mark.slow
def test_every_kind_is_smaller_and_close_to_jax(tmp_path):
    layers = [np.random.default_rng(k).normal(size=(64, 64)).astype(np.float32) / 8 for k in (0, 1)]
    model = model_from_function(
        "dense",
        lambda params, x: jax.nn.relu(x @ params[0]) @ params[1],
        layers,
        jax.ShapeDtypeStruct((1, 64), "float32"),
    )
    results = {result.kind: result for result in tflite.write(model, tmp_path, batch_size=2)}
    assert results.keys() == set(tflite.KINDS)
    assert results["float32"].max_abs_err <= 1e-5
    for kind, share in (("float16", 0.6), ("dynamic", 0.4), ("int8", 0.4)):
        assert results[kind].num_bytes < share * results["float32"].num_bytes
        assert 0 < results[kind].relative_err < 0.1
    content = (tmp_path / "dense_float32.tflite").read_bytes()
    inputs = models.inputs(model, 2)
    (answer,) = tflite.runner(content)({"inputs": inputs}).values()
    np.testing.assert_allclose(answer, model.func(model.params, inputs), rtol=1e-5, atol=1e-5)
    with pytest.raises(UserError, match=r"_float32.tflite exists; .*--overwrite"):
        next(tflite.write(model, tmp_path))


def test_an_unknown_kind_is_named(tmp_path):
    with pytest.raises(UserError, match="kind int4 is none of float32, float16, dynamic, int8"):
        next(tflite.write(models.build("mnist_mlp"), tmp_path, kinds=("float32", "int4")))


# What the interpreter has no kernels for, and the operations that are named.
LACKING = {
    "an operation": (lambda p, x: jax.scipy.special.digamma(x), "it has no Digamma; compute that"),
    "a dtype": (
        lambda p, x: jax.numpy.tanh(x.astype("bfloat16")).astype("float32"),
        "it has no Tanh of bfloat16; .*in float32",
    ),
    "several": (
        lambda p, x: jax.numpy.fft.ifft(jax.numpy.fft.fft(x) * 2).real + jax.lax.digamma(x),
        "it has no Digamma, IFFT of complex64; ",
    ),
}


@pytest.mark.parametrize("case", LACKING)
def test_an_operation_without_a_kernel_is_named_with_its_dtype(case, tmp_path):
    func, message = LACKING[case]
    model = model_from_function("m", func, {}, jax.ShapeDtypeStruct((1, 8), "float32"))
    wanted = rf"m can't be written for TensorFlow Lite: {message}"
    with pytest.raises(UserError, match=wanted) as caught:
        next(tflite.write(model, tmp_path, kinds=("float32",)))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_refusal_is_one_line_on_the_command_line(tmp_path):
    (tmp_path / "somebodys.py").write_text(
        "import jax\n"
        "def build():\n"
        "    func = lambda params, x: jax.scipy.special.digamma(x)\n"
        "    return func, {}, jax.ShapeDtypeStruct((1, 8), 'float32')\n"
    )
    command = [sys.executable, "-m", "exporter", "tflite", "somebodys:build", "--out", "mobile"]
    environment = os.environ | {"PYTHONPATH": str(needs.ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    *stages, last = done.stderr.splitlines()
    assert last.startswith("exporter: somebodys can't be written for TensorFlow Lite: it has no Di")
    assert all(stage.startswith("✓") for stage in stages)
    assert list(tmp_path.glob("mobile/*")) == []


CODE = """
import jax

def func(params, x):
    return {"scores": jax.nn.relu(x @ params["hidden"]) @ params["last"]}

def build():
    keys = jax.random.split(jax.random.key(0))
    normal = lambda key, *shape: jax.random.normal(key, shape) / 8
    params = {"hidden": normal(keys[0], 64, 128), "last": normal(keys[1], 128, 10)}
    return func, params, jax.ShapeDtypeStruct((1, 64), "float32")
"""


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A model of one's own, published from the module `somebodys` in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "somebodys.py").write_text(CODE)
    monkeypatch.delitem(sys.modules, "somebodys", raising=False)
    flags = ["--serving_batch_size=-1", "--notest_savedmodel", "--noshow_model"]
    assert main(["export", "somebodys:build", *flags]) == 0
    yield tmp_path / "models" / "somebodys" / "1"
    sys.modules.pop("somebodys", None)


@pytest.mark.slow
def test_a_published_model_of_ones_own_is_written_with_its_own_parameters(published, capsys):
    capsys.readouterr()
    assert main(["tflite", "--model", "somebodys", "--out", "mobile", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == "somebodys"
    files = {file["kind"]: file for file in answer["files"]}
    assert files.keys() == set(tflite.KINDS)
    assert files["float32"]["max_abs_err"] <= 1e-5
    for kind, share in (("float16", 0.6), ("dynamic", 0.4), ("int8", 0.4)):
        assert files[kind]["num_bytes"] < share * files["float32"]["num_bytes"]
        assert 0 < files[kind]["relative_err"] < 0.1
    case = golden.read(published)["serving_default", "batch_1"]
    run = tflite.runner((published.parents[2] / files["float32"]["path"]).read_bytes())
    np.testing.assert_allclose(
        run(case.inputs)["scores"], case.outputs["scores"], rtol=1e-5, atol=1e-5
    )


@pytest.mark.slow
def test_code_that_has_changed_since_is_not_taken_for_the_published_models(published, capsys):
    changes = {
        ("relu(", "tanh("): (1, "somebodys:build gives another scores now than when"),
        ('"last"', '"final"'): (2, "parameters aren't those that somebodys:build has now"),
        ("x @", "x[:, :32] @"): (2, "somebodys:build no longer takes what it was exported for"),
        ("def build", "def built"): (2, "is from somebodys:build: .*no function 'build'"),
    }
    for (old, new), (code, reason) in changes.items():
        (published.parents[2] / "somebodys.py").write_text(CODE.replace(old, new))
        sys.modules.pop("somebodys")
        assert main(["tflite", "--model", "somebodys", "--out", "mobile"]) == code
        last = capsys.readouterr().err.splitlines()[-1]
        assert re.match(rf"exporter: models/somebodys/1.*{reason}", last), last
    assert not (published.parents[2] / "mobile").exists()
