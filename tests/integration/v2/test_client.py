"""This project's client of the protocol: at this project's server, and at KServe's."""

import json
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from client import Client, ServingError, Unavailable
from client.results import UNVERSIONED
from tests.support import environments, exports, saved_models
from tests.support.servers import ROOT

APIS = ("v2", "v2-json", "v2-grpc")
X = np.float32([[1, 2, 3, 4], [-1, 0, 0.5, 2]])


@pytest.fixture(params=APIS)
def client(request, server):
    port = server.grpc_port if request.param == "v2-grpc" else server.rest_port
    with Client("127.0.0.1", port, request.param) as client:
        yield client


def check(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def command(module, *flags):
    return subprocess.run(
        [sys.executable, "-m", f"client.{module}", *map(str, flags)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def flags_of(client):
    api, is_grpc = client.endpoint.api, client.endpoint.api == "v2-grpc"
    chosen = ["--api=v2", "--grpc"] if is_grpc else [f"--api={api}"]
    return [*chosen, f"--port={client.endpoint.port}"]


def test_predictions_of_versions_and_labels(client):
    for chosen, version in (({}, 3), ({"version": 1}, 1), ({"label": "stable"}, 1)):
        found = client.predict("scaled", X, **chosen)
        assert found.version == version
        check(found.output, exports.scaled_answer(X, version))
    check(client.predict("scaled", X.tolist()).output, exports.scaled_answer(X, 3))


def test_several_inputs_and_outputs(client):
    a, b = np.int32([1, 2]), np.float32([[1, 2], [3, 4]])
    outputs = client.predict("named", {"a": a.tolist(), "b": b}).outputs
    for name, expected in exports.named_answer(a, b, 5).items():
        check(outputs[name], expected)


@pytest.mark.parametrize("dtype", [d for d in saved_models.DTYPES if not d.startswith("complex")])
def test_each_dtype_both_ways(client, dtype):
    for shape in ((3, 2), (0, 2), ()):
        x = saved_models.random(dtype, shape)
        y = client.predict("every_dtype", {"x": x}, signature=dtype).outputs["y"]
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        assert y.tolist() == x.tolist()


def test_what_the_server_tells(client):
    assert [(s.version, s.state) for s in client.status("scaled")] == [
        (3, "AVAILABLE"), (1, "AVAILABLE"),
    ]  # fmt: skip
    assert client.served_version("scaled", label="stable") == 1
    assert client.wait_until_ready("scaled") == 3
    ((name, signature),) = client.metadata("scaled", version=1).items()
    assert name == "serving_default"
    assert signature.inputs["inputs"].shape == (-1, 4)
    assert signature.outputs["output_0"].dtype == "float32"


def test_refusals(client):
    for call, code in (
        (lambda: client.predict("nope", X), "NOT_FOUND"),
        (lambda: client.predict("scaled", X, version=2), "NOT_FOUND"),
        (lambda: client.predict("scaled", X, label="nope"), "INVALID_ARGUMENT"),
        (lambda: client.predict("scaled", X[:, :3]), "INVALID_ARGUMENT"),
        (lambda: client.classify("scaled", [{"x": 1.0}]), "UNIMPLEMENTED"),
        (lambda: client.regress("scaled", [{"x": 1.0}]), "UNIMPLEMENTED"),
    ):
        with pytest.raises(ServingError) as caught:
            call()
        assert caught.value.code == code
    with pytest.raises(ValueError, match=r"input inputs: .* no data type for complex64"):
        client.predict("scaled", X.astype(np.complex64))


def test_what_is_no_server_of_the_protocol_is_named(server):
    with Client("127.0.0.1", server.rest_port, "v2-grpc", timeout=5) as client:
        with pytest.raises(Unavailable):
            client.predict("scaled", X)
    with Client(f"http://127.0.0.1:{server.rest_port}/elsewhere", api="v2") as client:
        with pytest.raises(ServingError):
            client.predict("scaled", X)


def test_predict_compares_with_jax(client, server):
    for against, more in (("golden", ["--label=stable"]), ("jax", [])):
        result = command(
            "predict", *flags_of(client), "--model=scaled", f"--model_dir={server.folder}",
            f"--against={against}", "--count_images=4", "--batch_size=2", "--json", *more,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        found = json.loads(result.stdout)
        assert (found["ok"], found["api"]) == (True, client.endpoint.api)
        assert found["version"] == (1 if more else 3)


def test_load_verifies_its_answers(client, server):
    result = command(
        "load", *flags_of(client), "--model=scaled", f"--model_dir={server.folder}", "--verify",
        "--duration=1", "--warmup=0.2", "--concurrency=4", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["ok"], found["errors"], found["completed"] > 0) == (True, {}, True)


# At a server that others wrote.
@pytest.fixture(scope="module")
def kserve(tmp_path_factory):
    """KServe's server of `scaled`, version 3, which it serves without a version."""
    python = environments.kserve()
    base = tmp_path_factory.mktemp("kserve")
    version_dir = exports.scaled(base, 3)
    http_port, grpc_port = free_port(), free_port()
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "tests.support.kserve_model", "scaled", version_dir,
             str(http_port), str(grpc_port)],
            cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield base, process, {"v2": http_port, "v2-json": http_port, "v2-grpc": grpc_port}
    finally:
        process.terminate()
        process.wait(60)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture(params=APIS)
def foreign(request, kserve):
    base, process, ports = kserve
    with Client("127.0.0.1", ports[request.param], request.param, timeout=60) as client:
        for _ in range(300):  # while it starts
            assert process.poll() is None, (base / "log").read_text()
            try:
                client.served_version("scaled")
                break
            except Unavailable:
                time.sleep(0.2)
        yield client


@pytest.mark.slow
def test_kserves_server_is_asked(foreign):
    found = foreign.predict("scaled", X.tolist())
    assert found.version is None
    check(found.outputs["output_0"], exports.scaled_answer(X, 3))
    assert foreign.served_version("scaled") == UNVERSIONED
    signature = foreign.metadata("scaled")["serving_default"]
    assert signature.inputs["inputs"].shape == (-1, 4)
    with pytest.raises(ServingError) as caught:
        foreign.predict("nope", X)
    assert "nope" in caught.value.message


@pytest.mark.slow
def test_kserves_server_is_compared_with_jax(foreign, kserve):
    base = kserve[0]
    for against in ("golden", "jax"):
        result = command(
            "predict", *flags_of(foreign), "--model=scaled", f"--model_dir={base}",
            f"--against={against}", "--count_images=4", "--batch_size=2", "--json",
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        found = json.loads(result.stdout)
        assert (found["ok"], found["version"]) == (True, UNVERSIONED)


@pytest.mark.slow
def test_another_model_at_kserve_is_found_out(foreign, tmp_path):
    exports.scaled(tmp_path, 4)  # published after the one that is served there
    result = command(
        "predict", *flags_of(foreign), "--model=scaled", f"--model_dir={tmp_path}", "--json",
        "--count_images=2",
    )  # fmt: skip
    assert result.returncode == 1, result.stderr
    assert json.loads(result.stdout)["ok"] is False
