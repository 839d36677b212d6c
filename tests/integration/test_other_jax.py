"""Versions that this JAX can't run, or that JAX runs otherwise than by default."""

import json
import logging
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from artifact import golden, manifest, program, versions
from server.engines.engine import EngineOptions
from server.errors import Code, ServingError
from server.loading.loader import Loader
from tests.support import exports, needs
from tests.support.servers import ROOT, ServerProcess

needs.package("jax", "exporter")

X = np.full((2, 4), 0.5, np.float32)
# As a JAX of the future might write it.
UNREADABLE = b"ML\xefR\rStableHLO_v99.0.0\x00" + bytes(64)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return exports.scaled(tmp_path_factory.mktemp("exported"), 2)


@pytest.fixture
def version(exported, tmp_path):
    """A version whose program no JAX of today can read."""
    path = tmp_path / "scaled" / "2"
    shutil.copytree(exported, path)
    (path / versions.EXTRA / "serving_default.stablehlo").write_bytes(UNREADABLE)
    found = json.loads((path / versions.MANIFEST).read_text())
    found["versions"]["jax"] = "99.1.2"
    (path / versions.MANIFEST).write_text(json.dumps(found))
    return path


def test_what_jax_cannot_run_goes_to_tensorflow(version, caplog):
    needs.package("tensorflow", "exporter")
    with caplog.at_level(logging.WARNING):
        servable = Loader(EngineOptions())("scaled", 2, version)
    assert servable.engine.name == "tensorflow"
    answer = servable.engine.run("serving_default", {"inputs": X}, ["output_0"])["output_0"]
    np.testing.assert_allclose(answer, exports.scaled_answer(X, 2), rtol=1e-5)
    assert "which JAX 99.1.2 wrote" in caplog.text
    assert "the tensorflow engine serves it" in caplog.text


def test_without_tensorflow_the_error_says_what_to_install(version, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ServingError) as raised:
        Loader(EngineOptions())("scaled", 2, version)
    assert raised.value.code is Code.FAILED_PRECONDITION
    message = raised.value.message
    assert "can't run this version's program, which JAX 99.1.2 wrote" in message
    assert "written for StableHLO 99.0.0" in message
    assert "install that JAX or a later one, or export the version again" in message
    assert "; or pip install tensorflow" in message


def test_where_the_engine_is_forced_the_version_ends_with_that_error(version, tmp_path):
    flags = ["--model_name=scaled", f"--model_base_path={version.parent}", "--engine=xla"]
    flags += ["--max_num_load_retries=1", "--load_retry_interval_micros=1000"]
    with ServerProcess(tmp_path / "log", *flags) as server:
        server.wait_for("scaled", 2, "END")
        _, _, body = server.rest("/v1/models/scaled")
        (entry,) = json.loads(body)["model_version_status"]
        assert entry["status"]["error_code"] == "FAILED_PRECONDITION"
        assert "which JAX 99.1.2 wrote" in entry["status"]["error_message"]
        assert server.log.count("loading scaled version 2 failed") == 2


def test_a_version_of_jax_exports_own_form_is_served(exported, tmp_path):
    """As versions were before programs became portable."""
    import jax

    path = tmp_path / "scaled" / "2"
    shutil.copytree(exported, path)
    found = json.loads((path / versions.MANIFEST).read_text())
    (file,) = found["signatures"]["serving_default"]["program"]["files"]
    del file["module"]
    (path / versions.EXTRA / file["file"]).unlink()
    file["file"] = "serving_default.jax_export"
    (path / versions.MANIFEST).write_text(json.dumps(found))

    def flat(params, inputs):  # in the order of the pytree's names
        scale, weights = params
        return [jax.numpy.tanh(inputs[0] @ weights) * scale]

    (batch,) = jax.export.symbolic_shape("b")
    shapes = [jax.ShapeDtypeStruct(p["shape"], p["dtype"]) for p in found["parameters"]]
    assert [p["path"] for p in found["parameters"]] == ["scale", "weights"]
    old = jax.export.export(jax.jit(flat), platforms=("cpu",))(
        shapes, [jax.ShapeDtypeStruct((batch, 4), "float32")]
    )
    (path / versions.EXTRA / file["file"]).write_bytes(old.serialize())
    servable = Loader(EngineOptions(engine="xla"))("scaled", 2, path)
    answer = servable.engine.run("serving_default", {"inputs": X}, ["output_0"])["output_0"]
    np.testing.assert_allclose(answer, exports.scaled_answer(X, 2), rtol=1e-5)


def test_manifests_of_other_releases_are_read(exported, tmp_path):
    path = tmp_path / "2"
    shutil.copytree(exported, path)
    file = path / versions.MANIFEST
    newer = json.loads(file.read_text())
    newer["later"] = 1
    newer["parameters"][0]["later"] = 1
    newer["signatures"]["serving_default"]["later"] = 1
    newer["signatures"]["serving_default"]["program"]["files"][0]["later"] = 1
    file.write_text(json.dumps(newer))
    assert manifest.Manifest.read(path) == manifest.Manifest.read(exported)
    older = {k: newer[k] for k in ("format", "model", "version", "created", "parameters")}
    signature = newer["signatures"]["serving_default"]
    older["signatures"] = {"serving_default": {k: signature[k] for k in ("inputs", "outputs")}}
    file.write_text(json.dumps(older))
    assert manifest.Manifest.read(path).platforms == ("cpu",)


def test_64_bits_and_independent_axes_are_served_as_exported(tmp_path):
    jax = needs.package("jax", "exporter")
    from exporter import ExportOptions, TensorSpec, export

    options = ExportOptions(check_batch_sizes=(1, 3), verify=False)
    with jax.enable_x64(True):
        wide = export(
            lambda w, x: {"y": x["a"] @ w * 1e-12 + 1, "n": x["n"] + 2**40},
            np.arange(12.0).reshape(4, 3),
            {"a": TensorSpec(("b", 4), "float64"), "n": TensorSpec(("b",), "int64")},
            tmp_path / "wide",
            options,
        )
    two = export(
        lambda w, x: (x["p"] @ w, x["q"] * 2),
        np.arange(12, dtype=np.float32).reshape(4, 3),
        {"p": TensorSpec(("b", 4)), "q": TensorSpec(("n",))},
        tmp_path / "two",
        options,
    )
    load = Loader(EngineOptions(engine="xla"))
    for path in (wide, two):
        servable = load(path.parent.name, 1, path)
        for (signature, _), case in golden.read(path).items():
            found = servable.engine.run(signature, case.inputs, list(case.outputs))
            for name, wanted in case.outputs.items():
                assert found[name].dtype == wanted.dtype
                np.testing.assert_allclose(found[name], wanted, rtol=1e-6)
        assert servable.engine.has_one_batch("serving_default") == (path == wide)
    assert (golden.read(wide)["serving_default", "batch_3"].outputs["n"] > 2**39).all()
    together = golden.read(two)["serving_default", "batch_3"].inputs
    assert len(together["p"]) != len(together["q"])


def test_a_version_for_the_cpu_runs_on_the_cpu_beside_another_default(monkeypatch):
    import jax

    assert program.device_for(("cpu",)) is None
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert program.device_for(("cuda", "cpu")) is None
    assert program.device_for(("rocm",)) is None
    assert program.device_for(("cpu",)) == jax.local_devices(backend="cpu")[0]
    assert program.device_for(("tpu", "cpu")) == jax.local_devices(backend="cpu")[0]
    with pytest.raises(program.UnrunnableError, match="it runs on tpu, JAX has gpu here"):
        program.device_for(("tpu",))


def test_a_program_runs_on_the_device_that_it_is_loaded_for(exported):
    import jax

    cpu = jax.local_devices(backend="cpu")[0]
    loaded = program.load(exported, device=cpu)
    answer = loaded.run({"inputs": X})["output_0"]
    np.testing.assert_allclose(answer, exports.scaled_answer(X, 2), rtol=1e-5)


def test_the_check_of_gpus_refuses_to_run_without_one():
    command = [sys.executable, "scripts/gpu_check.py"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "finds no GPU here, only cpu; this check needs an NVIDIA GPU" in ended.stderr
