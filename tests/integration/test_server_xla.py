"""Our exports in the xla engine, and both engines against each other."""

import gc
import json
import subprocess
import sys

import numpy as np
import pytest

from artifact import golden, versions
from server.engines.engine import EngineOptions
from server.loading.loader import Loader
from server.models import memory
from tests.support import exports
from tests.support.servers import ROOT, ServerProcess
from wire import services, tensors
from wire import serving_pb2 as pb


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Exports of every batch mode: any size, a fixed one, and one with golden examples."""
    base = tmp_path_factory.mktemp("exports")
    exports.scaled(base, 2, verify=True)
    exports.scaled(base, 3, name="fixed", serving_batch_size=2)
    return base


@pytest.fixture(scope="module", params=["auto", "tensorflow"])
def server(request, models, tmp_path_factory):
    """A server of both models, by engine."""
    folder = tmp_path_factory.mktemp(request.param)
    entries = [f'config {{ name: "{n}" base_path: "{models / n}" }}' for n in ("scaled", "fixed")]
    (folder / "models.config").write_text(f"model_config_list {{ {' '.join(entries)} }}")
    flags = [f"--model_config_file={folder / 'models.config'}", f"--engine={request.param}"]
    with ServerProcess(folder / "log", *flags, "--xla_cpu_compilation_enabled") as server:
        server.engine = "xla" if request.param == "auto" else request.param
        yield server


def predict(server, name, x):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name=name))
    request.inputs["inputs"].CopyFrom(tensors.from_array(x))
    with server.channel() as channel:
        response = services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
    return tensors.to_array(response.outputs["output_0"])


def test_both_engines_give_the_golden_answers(models, server):
    cases = golden.read(versions.latest(models / "scaled"))
    assert server.log.count(f"engine {server.engine} ") == 2
    for case in cases.values():
        answer = predict(server, "scaled", case.inputs["inputs"])
        np.testing.assert_allclose(answer, case.outputs["output_0"], rtol=1e-5, atol=1e-5)
    for batch_size in (1, 2, 5, 33):
        x = np.random.default_rng(batch_size).normal(size=(batch_size, 4)).astype(np.float32)
        expected = exports.scaled_answer(x, 2)
        np.testing.assert_allclose(predict(server, "scaled", x), expected, rtol=1e-5, atol=1e-5)
        _, _, body = server.rest("/v1/models/scaled:predict", {"instances": x.tolist()})
        found = json.loads(body)["predictions"]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("server", ["auto"], indirect=True)
def test_a_fixed_export_takes_its_batch_sizes_alone(server):
    for batch_size in (2, 16, 128):
        x = np.full((batch_size, 4), 0.5, np.float32)
        answer = predict(server, "fixed", x)
        np.testing.assert_allclose(answer, exports.scaled_answer(x, 3), rtol=1e-5, atol=1e-5)
    path = "/v1/models/fixed:predict"
    status, _, body = server.rest(path, {"instances": [[0.5] * 4] * 3})
    assert status == 400
    assert "exported for batch sizes [2, 16, 128], not 3" in json.loads(body)["error"]


@pytest.mark.parametrize("server", ["auto"], indirect=True)
def test_shapes_that_dont_fit_are_the_clients_fault(server):
    for value in ([1.0], [[[1.0] * 4]], [[1.0] * 5], 1.0):
        status, _, body = server.rest("/v1/models/scaled:predict", {"inputs": value})
        assert status == 400
        assert "signature serving_default takes [?,4]" in json.loads(body)["error"]


def test_without_the_flag_the_tensorflow_engine_refuses_xla_as_serving_does(models, tmp_path):
    flags = ["--model_name=scaled", f"--model_base_path={models / 'scaled'}", "--engine=tensorflow"]
    with ServerProcess(tmp_path / "log", *flags, "--enable_model_warmup=false") as server:
        status, _, body = server.rest("/v1/models/scaled:predict", {"inputs": [[1.0] * 4]})
        assert (status, json.loads(body)) == (500, {"error": "XLA compilation disabled"})


def test_the_xla_engine_never_imports_tensorflow(models):
    script = f"""
import sys
from pathlib import Path
from server.launch import process
from server.engines.engine import EngineOptions
from server.loading.loader import Loader
Loader(EngineOptions())("scaled", 2, Path({str(versions.latest(models / "scaled"))!r}))
assert not {{"tensorflow", "tensorflow_serving"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_nothing_of_an_unloaded_program_stays(models):
    import jax

    def count():
        gc.collect()
        return sum(type(one) is jax.export.Exported for one in gc.get_objects())

    memory.trim()
    before = count()
    servable = Loader(EngineOptions())("scaled", 2, versions.latest(models / "scaled"))
    assert count() > before
    servable.engine.close()
    del servable
    memory.trim()
    assert count() == before


@pytest.fixture
def compiled():
    """The compilations from here on."""
    import jax

    found = []

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.clear_event_listeners()


def test_a_program_is_compiled_once_for_all_versions_that_live_together(models, compiled):
    loader, path = Loader(EngineOptions()), versions.latest(models / "scaled")
    first = loader("scaled", 2, path)
    assert compiled
    compiled.clear()
    second = loader("scaled", 3, path)
    first.engine.close()
    memory.trim()
    x = {"inputs": np.ones((3, 4), np.float32)}
    answer = second.engine.run("serving_default", x, ["output_0"])["output_0"]
    np.testing.assert_allclose(answer, exports.scaled_answer(x["inputs"], 2), rtol=1e-5)
    assert compiled == []
