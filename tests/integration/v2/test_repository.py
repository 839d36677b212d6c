"""The repository API: what is configured, models out of service and back."""

import json
import shutil
import time

import grpc
import numpy as np
import pytest

from tests.support import exports
from tests.support.open_inference import Refused, Rest
from tests.support.servers import ServerProcess
from wire import open_inference_pb2 as pb
from wire import services

X = np.float32([[1, 2, 3, 4]])
INDEX = "/v2/repository/index"
GONE = "unloaded by a client, until it is loaded again"


@pytest.fixture
def models(tmp_path):
    for version in (1, 3):
        exports.scaled(tmp_path, version)
    exports.named(tmp_path, 5)
    (tmp_path / "empty").mkdir()
    config = tmp_path / "models.config"
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{tmp_path / name}" {more} }}'
        for name, more in (
            ("scaled", "model_version_policy { all {} }"), ("named", ""), ("empty", ""),
        )
    )  # fmt: skip
    config.write_text(f"model_config_list {{ {entries} }}")
    return tmp_path


@pytest.fixture
def server(models):
    with ServerProcess(
        models / "log", f"--model_config_file={models / 'models.config'}",
        "--load_retry_interval_micros=600000000",
    ) as server:  # fmt: skip
        yield server


def index(server, **body):
    status, _, found = server.rest(INDEX, body, method="POST")
    assert status == 200
    return [(e["name"], e["version"], e["state"], e["reason"]) for e in json.loads(found)]


def control(server, verb, name, body=b""):
    status, _, found = server.rest(f"/v2/repository/models/{name}/{verb}", body, method="POST")
    return status, json.loads(found)


def infer(server, model="scaled", version=""):
    return Rest(server, binary=False).infer(model, {"inputs": X}, version=version).version


def eventually(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("not within 30 s")


def test_the_index(server):
    ready = [
        ("named", "5", "READY", ""),
        ("scaled", "1", "READY", ""),
        ("scaled", "3", "READY", ""),
    ]
    empty = ("empty", "", "UNAVAILABLE", "no version of it was found")
    assert index(server) == [empty, *ready]
    assert index(server, ready=True) == ready
    assert server.rest(INDEX, b"", method="POST")[0] == 200
    for body in (b"[]", b"{", b'{"ready": 1}'):
        status, _, found = server.rest(INDEX, body)
        assert (status, "error" in json.loads(found)) == (400, True)
    assert server.rest("/v2/repository/mine/index", b"{}")[0] == 501
    with server.channel() as channel:
        method = services.INFERENCE_METHODS["RepositoryIndex"]
        answer = method.stub(channel)(pb.RepositoryIndexRequest(ready=True), timeout=30)
        assert [(m.name, m.version, m.state, m.reason) for m in answer.models] == ready


def test_a_model_goes_and_comes_back(server):
    assert control(server, "unload", "scaled") == (200, {"name": "scaled", "unload": True})
    with pytest.raises(Refused, match="NOT_FOUND: Servable not found"):
        infer(server)
    assert server.rest("/v2/models/scaled/ready")[0] == 503
    assert server.rest("/v2/models/scaled/versions/3/ready")[0] == 503
    assert json.loads(server.rest("/v1/models/scaled")[2])["model_version_status"][0]["state"] in (
        "UNLOADING", "END",
    )  # fmt: skip
    expected = [("scaled", version, "UNAVAILABLE", GONE) for version in ("1", "3")]
    eventually(lambda: [e for e in index(server) if e[0] == "scaled"] == expected)
    assert infer_named(server) == "5"  # the others stay
    exports.scaled(server.log_path.parent, 4)
    time.sleep(2.5)  # polls, which must not bring it back
    assert server.rest("/v2/models/scaled/ready")[0] == 503
    assert control(server, "load", "scaled") == (200, {"name": "scaled", "load": True})
    assert infer(server) == "4"
    assert infer(server, version="1") == "1"


def infer_named(server):
    inputs = {"a": np.int32([1]), "b": np.float32([[1, 2]])}
    return Rest(server, binary=True).infer("named", inputs).version


def test_it_goes_and_comes_back_by_grpc_too(server):
    with server.channel() as channel:
        for name in ("RepositoryModelUnload", "RepositoryModelLoad"):
            method = services.INFERENCE_METHODS[name]
            answer = method.stub(channel)(method.request(model_name="scaled"), timeout=60)
            assert answer.model_name == "scaled"
            status = server.rest("/v2/models/scaled/ready")[0]
            assert status == (503 if name.endswith("Unload") else 200)
            with pytest.raises(grpc.RpcError) as caught:
                method.stub(channel)(method.request(model_name="nope"), timeout=30)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            with pytest.raises(grpc.RpcError) as caught:
                method.stub(channel)(
                    method.request(model_name="scaled", repository_name="mine"), timeout=30
                )
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_unloading_twice_and_loading_twice_is_no_harm(server):
    for verb in ("unload", "unload", "load", "load"):
        assert control(server, verb, "scaled")[0] == 200
    assert infer(server) == "3"


def test_a_load_finds_what_is_new_on_the_disk(server, models):
    exports.scaled(models / "more", 1, name="empty")
    shutil.copytree(models / "more" / "empty" / "1", models / "empty" / "1")
    assert control(server, "load", "empty")[0] == 200
    assert infer(server, "empty") == "1"


def test_a_load_that_fails_says_why_and_can_be_repeated(server, models):
    status, found = control(server, "load", "empty")
    assert (status, found) == (400, {"error": "failed to load empty: no version of it was found"})
    broken = models / "empty" / "1"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no model")
    status, found = control(server, "load", "empty")
    assert status == 400
    assert found["error"].startswith("failed to load empty: version 1: ")
    (entry,) = [e for e in index(server) if e[0] == "empty"]
    assert entry[2] == "LOADING"  # it is tried again, ten minutes later
    assert entry[3]
    whole = exports.scaled(models / "more", 1, name="empty")
    shutil.copytree(whole, broken, dirs_exist_ok=True)
    assert control(server, "load", "empty")[0] == 200  # at once
    assert infer(server, "empty") == "1"


def test_models_of_the_clients_own_are_refused(server):
    for parameter in ("config", "file:1/model.onnx"):
        status, found = control(server, "load", "scaled", {"parameters": {parameter: "{}"}})
        assert (status, "models come from the paths" in found["error"]) == (501, True)
    unload = {"parameters": {"unload_dependents": True}}
    assert control(server, "unload", "scaled", unload)[0] == 200
    for name in ("nope", "%2e%2e", ""):
        assert server.rest(f"/v2/repository/models/{name}/load", b"{}")[0] == 404


def test_web_pages_cannot_change_what_is_served(server):
    for verb in ("unload", "load"):
        path = f"/v2/repository/models/scaled/{verb}"
        headers = {"Origin": "https://example.com", "Content-Type": "text/plain"}
        status, _, found = server.rest(path, b"{}", headers=headers)
        assert (status, "web pages" in json.loads(found)["error"]) == (403, True)
    assert infer(server) == "3"


def test_a_configuration_file_that_is_read_again_undoes_nothing(models):
    config = models / "models.config"
    with ServerProcess(
        models / "log", f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1"
    ) as server:
        assert control(server, "unload", "scaled")[0] == 200
        shutil.copytree(models / "scaled", models / "second")
        text = config.read_text().rstrip()[:-1]
        config.write_text(f'{text} config {{ name: "second" base_path: "{models / "second"}" }} }}')
        eventually(lambda: server.rest("/v2/models/second/ready")[0] == 200)
        assert server.rest("/v2/models/scaled/ready")[0] == 503
        config.write_text(config.read_text().replace('"scaled"', '"third"'))
        eventually(lambda: server.rest("/v2/models/third/ready")[0] == 200)
        config.write_text(config.read_text().replace('"third"', '"scaled"'))  # it is a new one
        eventually(lambda: server.rest("/v2/models/scaled/ready")[0] == 200)


def test_all_workers_follow_and_those_that_come_later(models):
    import os
    import re
    import signal

    with ServerProcess(
        models / "log", f"--model_config_file={models / 'models.config'}", "--workers=2"
    ) as server:
        eventually(lambda: server.log.count("Exporting HTTP/REST API") == 2)

        def readiness():
            return {server.rest("/v2/models/scaled/ready")[0] for _ in range(24)}

        assert readiness() == {200}
        assert control(server, "unload", "scaled")[0] == 200
        assert readiness() == {503}
        for pid in map(int, re.findall(r"worker \d+ is process (\d+)", server.log)):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: server.log.count("Exporting HTTP/REST API") == 4)
        assert readiness() == {503}
        assert control(server, "load", "scaled")[0] == 200
        assert readiness() == {200}
