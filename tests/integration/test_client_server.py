"""The client, its commands and the embedded server together."""

import json
import threading

import numpy as np
import pytest

from client import Client, ServingError
from client.check import CheckPlan, check
from client.load.__main__ import main as load
from client.model_spec import ModelSpec
from client.predict import main as predict
from client.samples import find
from tests.support import exports, needs, saved_models
from tests.support.servers import ServerProcess

APIS = ["rest", "grpc"]


def connect(server, api):
    return Client("localhost", server.grpc_port if api == "grpc" else server.rest_port, api)


@pytest.fixture(params=APIS)
def client(request, tensorflow_server):
    with connect(tensorflow_server, request.param) as connected:
        yield connected


@pytest.mark.parametrize("dtype", saved_models.DTYPES)
def test_every_dtype_comes_back(client, dtype):
    random = np.random.default_rng(0)
    if dtype == "string":
        array = np.array([[b"\xff\x00a"], ["grün".encode()]], object)
    else:
        ml_dtypes = needs.package("ml_dtypes", "exporter")
        numpy_dtype = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
        array = (random.random((2, 3)) * 9).astype(numpy_dtype)
    if client.endpoint.api == "rest" and dtype.startswith("complex"):
        with pytest.raises(ValueError, match="use gRPC"):
            client.predict("every_dtype", {"x": array}, signature=dtype)
        return
    if client.endpoint.api == "rest" and dtype == "string":  # its output is no text
        array = np.array([[b"a"], ["grün".encode()]], object)
    output = client.predict("every_dtype", {"x": array}, signature=dtype).outputs["y"]
    assert output.dtype == array.dtype
    np.testing.assert_array_equal(output, array)


def test_bytes_and_text(client):
    outputs = client.predict("every_dtype", [b"\xc3\xa9"], signature="strings").outputs
    assert outputs["text"].tolist() == [b"\xc3\xa9"]
    assert outputs["raw_bytes"].tolist() == [b"\xc3\xa9\xc3\xa9"]


def test_several_inputs_need_names(client):
    with pytest.raises(ValueError, match=r"2 inputs \(a, b\)"):
        client.predict("every_dtype", [1.0], signature="two")
    outputs = client.predict("every_dtype", {"a": [3], "b": [0.5]}, signature="two").outputs
    assert (outputs["sum"].tolist(), outputs["difference"].tolist()) == ([3.5], [2.5])


def test_versions_and_labels(client):
    for chosen in ({}, {"version": 123}, {"label": "stable"}):
        prediction = client.predict("half_plus_two", [[2.0]], **chosen)
        assert (prediction.version, prediction.output.tolist()) == (123, [[3.0]])
    with pytest.raises(ServingError, match="label"):
        client.predict("half_plus_two", [[2.0]], label="nobodys")


@pytest.fixture(scope="module")
def scaled(tmp_path_factory):
    """A models directory with one version, and a server that looks for more."""
    base = tmp_path_factory.mktemp("scaled")
    exports.scaled(base, 1)
    flags = ["--model_name=scaled", f"--model_base_path={base / 'scaled'}"]
    with ServerProcess(base / "log", *flags, "--file_system_poll_wait_seconds=0.1") as server:
        yield base, server


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("against", ["golden", "jax"])
def test_predict_agrees_with_jax(scaled, api, against, capsys):
    base, server = scaled
    port = server.grpc_port if api == "grpc" else server.rest_port
    flags = ["--port", str(port), "--model", "scaled", *(["--grpc"] if api == "grpc" else [])]
    flags += ["--model_dir", str(base), "--batch_size", "8", "--against", against, "--json"]
    assert predict(flags) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["api"], found["count"], found["ok"]) == (api, 16, True)


@pytest.mark.parametrize("api", APIS)
def test_load_is_answered_rightly(scaled, api, capsys):
    base, server = scaled
    port = server.grpc_port if api == "grpc" else server.rest_port
    flags = ["--port", str(port), "--model", "scaled", *(["--grpc"] if api == "grpc" else [])]
    flags += ["--model_dir", str(base), "--verify", "--batch_size", "3", "--json"]
    assert load([*flags, "--duration", "0.5", "--warmup", "0.1"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]


def test_a_swap_in_the_middle_of_a_run_starts_it_anew(scaled):
    """Ends with version 3: two more are published, each in the middle of a run."""
    base, server = scaled
    for api, version in (("rest", 2), ("grpc", 3)):
        swapped = threading.Event()

        def swap(count, version=version, swapped=swapped):
            if not swapped.is_set():
                swapped.set()
                exports.scaled(base, version)
                server.wait_for("scaled", version)
                server.wait_for("scaled", version - 1, "END")

        def source(served):
            return find("scaled", served, "serving_default", model_dir=base, against=None)

        with connect(server, api) as client:
            plan = CheckPlan(ModelSpec("scaled"), "serving_default", 32, 4)
            outcome = check(client, plan, source, swap)
        assert swapped.is_set()
        assert outcome.version == version
        assert outcome.comparison.ok, outcome.comparison.faults
        assert len(outcome.seconds) == 8
