"""Clients that others wrote work as they are: tritonclient and KServe's, by HTTP and by gRPC."""

import json
import subprocess

import numpy as np
import pytest

from tests.support import environments, exports
from tests.support.servers import ROOT
from wire import open_inference_pb2 as ours

pytestmark = pytest.mark.slow
X = np.float32([[1, 2, 3, 4], [-1, 0, 0.5, 2]])


def ask(python, script, server):
    """Returns what a script in another environment prints: an object of HTTP, and one of gRPC."""
    result = subprocess.run(
        [python, ROOT / "tests" / "support" / script, str(server.grpc_port), str(server.rest_port)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    by_http, by_grpc = map(json.loads, result.stdout.splitlines())
    return by_http, by_grpc


def agrees(found, version):
    return np.allclose(found, exports.scaled_answer(X, version), rtol=1e-5, atol=1e-5)


def test_tritonclient_works_unmodified(server):
    by_http, by_grpc = ask(environments.tritonclient(), "triton_client.py", server)
    for found in (by_http, by_grpc):
        assert (found["live"], found["ready"]) == (True, True)
        assert found["models"] == [True, True, False, False]
        assert found["server"]["extensions"] == ["binary_tensor_data", "model_repository"]
        assert found["metadata"]["platform"] == "tensorflow_savedmodel"
        assert found["metadata"]["versions"] == ["1", "3"]
        shape = found["metadata"]["inputs"][0]["shape"]
        assert list(map(int, shape)) == [-1, 4]  # as text in protobuf's JSON
        assert agrees(found["answer"], 3)
        assert agrees(found["old"], 1)
        assert agrees(found["outputs"], 3)
        assert found["id"] == "7"
        assert found["strings"] == [b"\xff\0".hex(), "", "ü".encode().hex()]
        for dtype, (name, values) in found["dtypes"].items():
            if dtype == "bfloat16":
                assert values == [0, 1.5, -2]
            else:
                assert (name, values) == (dtype, [0, 1, 1])
        assert len(found["dtypes"]) == 13
        assert "Servable not found" in found["unknown"][1]
        assert "has shape [2, 3]" in found["wrong"][1]
        assert (found["unloaded"], found["loaded"]) == (False, True)
        assert "no model nope is configured" in found["load"][1]
    assert [by_http[key][0] for key in ("unknown", "wrong", "load")] == ["404", "400", "404"]
    assert all(agrees(answer, 3) for answer in by_http["json"])
    index = by_http["index"]
    assert {"name": "scaled", "version": "3", "state": "READY", "reason": ""} in index
    assert {"name": "scaled", "version": "3", "state": "READY"} in by_grpc["index"]["models"]


def test_kserves_clients_work_unmodified(server):
    by_http, by_grpc = ask(environments.kserve(), "kserve_client.py", server)
    for found in (by_http, by_grpc):
        assert (found["live"], found["ready"], found["models"]) == (True, True, [True, False])
        for id, model, name, answer in found["answers"]:
            assert (id, model, name) == ("7", "scaled", "output_0")
            assert agrees(answer, 3)
        assert "Servable not found" in found["unknown"]
        assert "has shape [2, 3]" in found["wrong"]
    assert len(by_http["answers"]) == 4
    assert "404" in by_http["unknown"]


DESCRIBE = """
import importlib, json, sys
module = importlib.import_module(sys.argv[1])
def fields(message):
    return {f.name: [f.number, f.is_repeated, f.type, getattr(f.message_type, "name", None)]
            for f in message.fields}
def walk(messages):
    for message in messages:
        yield message.full_name.partition(".")[2], fields(message)
        yield from walk(message.nested_types)
print(json.dumps(dict(walk(module.DESCRIPTOR.message_types_by_name.values()))))
"""


@pytest.mark.parametrize(
    ("environment", "module"),
    [
        ("tritonclient", "tritonclient.grpc.service_pb2"),
        ("kserve", "kserve.protocol.grpc.grpc_predict_v2_pb2"),
    ],
)
def test_messages_have_the_official_numbers_and_types(environment, module):
    python = getattr(environments, environment)()
    result = subprocess.run(
        [python, "-W", "ignore", "-c", DESCRIBE, module], capture_output=True, text=True, check=True
    )
    official = json.loads(result.stdout.splitlines()[-1])
    compared = 0
    for name, message in walk(ours.DESCRIPTOR.message_types_by_name.values()):
        for field in message.fields:
            theirs = official.get(name, {}).get(field.name)
            if theirs is None or name in DIFFERENT.get(environment, ()):
                continue
            kind = getattr(field.message_type, "name", None)
            expected = [field.number, field.is_repeated, field.type, kind]
            if field.name in ("fp32_contents", "fp64_contents"):  # packed: bytes on the wire
                expected[2] = field.TYPE_FLOAT if field.name[2] == "3" else field.TYPE_DOUBLE
            assert theirs == expected, f"{name}.{field.name}"
            compared += 1
    assert compared > 50


# KServe's requests to the repository have other numbers than Triton's, which are ours.
DIFFERENT = {"kserve": ("RepositoryModelLoadRequest", "RepositoryModelUnloadRequest")}


def walk(messages):
    for message in messages:
        yield message.full_name.removeprefix("wire.open_inference."), message
        yield from walk(message.nested_types)
