"""Each path and each method, but for inference and the repository."""

import importlib.metadata
import json

import grpc
import pytest

from wire import open_inference_pb2 as pb
from wire.services import INFERENCE_METHODS


def scaled(version):
    return {
        "name": "scaled",
        "versions": ["1", "3"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "inputs", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "output_0", "datatype": "FP32", "shape": [-1, 3]}],
        "properties": {
            "version": version,
            "signature_name": "serving_default",
            "signatures": "serving_default",
        },
    }


@pytest.fixture
def call(channel):
    def send(method, /, **fields):
        method = INFERENCE_METHODS[method]
        return method.stub(channel)(method.request(**fields), timeout=30)

    return send


def get(server, path, status=200):
    found, headers, body = server.rest(path)
    assert found == status
    assert headers["Content-Type"] == "application/json"
    return json.loads(body)


def test_the_server(server, call):
    expected = {
        "name": "jax-serving-stack",
        "version": importlib.metadata.version("jax-serving-stack"),
        "extensions": ["binary_tensor_data", "model_repository"],
    }
    assert get(server, "/v2") == get(server, "/v2/") == expected
    answer = call("ServerMetadata")
    assert {"name": answer.name, "version": answer.version,
            "extensions": list(answer.extensions)} == expected  # fmt: skip


def test_live_and_ready(server, call):
    assert get(server, "/v2/health/live") == {"live": True}
    assert get(server, "/v2/health/ready") == {"live": True, "ready": True}
    assert call("ServerLive").live
    assert call("ServerReady").ready


def test_a_models_metadata(server, call):
    for path, version in (
        ("scaled", "3"), ("scaled/versions/1", "1"), ("scaled/versions/stable", "1"),
        ("s%63aled", "3"),
    ):  # fmt: skip
        assert get(server, f"/v2/models/{path}") == scaled(version)
    for version, told in (("", "3"), ("1", "1"), ("stable", "1")):
        answer = call("ModelMetadata", name="scaled", version=version)
        assert answer == pb.ModelMetadataResponse(**scaled(told))


def test_dtypes_ranks_and_signatures_in_metadata(server):
    named = get(server, "/v2/models/named")
    assert [(t["name"], t["datatype"], t["shape"]) for t in named["inputs"]] == [
        ("a", "INT32", [-1]), ("b", "FP32", [-1, 2]),
    ]  # fmt: skip
    found = get(server, "/v2/models/every_dtype")
    assert found["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1]}]  # of any rank
    signatures = found["properties"]["signatures"].split(",")
    assert {"bfloat16", "complex64", "serving_default", "two"} <= set(signatures)
    assert not any(name.startswith("__") for name in signatures)


def test_metadata_of_what_is_not_there(server, call):
    for path, name, version in (
        ("/v2/models/nope", "nope", ""), ("/v2/models/scaled/versions/2", "scaled", "2"),
    ):  # fmt: skip
        assert "Servable not found" in get(server, path, 404)["error"]
        with pytest.raises(grpc.RpcError) as caught:
            call("ModelMetadata", name=name, version=version)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_model_ready(server, call):
    for version, ready in (("", True), ("1", True), ("3", True), ("stable", True), ("2", False)):
        path = "/v2/models/scaled" + f"/versions/{version}" * bool(version) + "/ready"
        if ready:
            assert get(server, path) == {"name": "scaled", "ready": True}
        else:
            assert get(server, path, 404) == {"error": "version 2 of model scaled is unknown"}
        assert call("ModelReady", name="scaled", version=version).ready is ready
    assert get(server, "/v2/models/nope/ready", 404) == {"error": "model nope is unknown"}
    assert not call("ModelReady", name="nope").ready
    assert "label" in get(server, "/v2/models/scaled/versions/first/ready", 400)["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/models/scaled/infer", "POST"),
        ("PUT", "/v2/models/scaled/versions/1/infer", "POST"),
        ("GET", "/v2/repository/index", "POST"),
        ("GET", "/v2/repository/models/scaled/load", "POST"),
        ("POST", "/v2/models/scaled", "GET, HEAD"),
        ("POST", "/v2", "GET, HEAD"),
        ("DELETE", "/v2/health/ready", "GET, HEAD"),
    ],
)
def test_other_methods_are_named(server, method, path, allowed):
    status, headers, body = server.rest(path, method=method)
    assert (status, headers["Allow"]) == (405, allowed)
    assert json.loads(body) == {"error": f"{path} takes {allowed} alone"}


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models", "/v2/models/", "/v2/models//infer", "/v2/models/scaled/", "/v2/health",
        "/v2/models/scaled/versions//infer", "/v2/models/scaled/versions/1/x", "/v2/x",
        "/v2/models/scaled/config", "/v2/models/scaled/stats", "/V2/models/scaled/infer",
        "/v2/models/scaled/infer/", "/v2models", "/v2/repository/models/scaled/reload",
    ],
)  # fmt: skip
def test_paths_that_there_are_not(server, path):
    for method in ("GET", "POST"):
        status, _, body = server.rest(path, method=method)
        assert (status, "error" in json.loads(body)) == (404, True)


def test_head_is_get_without_a_body(server):
    status, headers, body = server.rest("/v2/models/scaled", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


def test_methods_that_there_are_not(channel):
    call = channel.unary_unary("/inference.GRPCInferenceService/ModelStatistics")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=30)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_reflection_describes_the_service(channel):
    from google.protobuf import descriptor_pb2
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    symbol = "inference.GRPCInferenceService"
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol),
    ]
    listed, described = stub.ServerReflectionInfo(iter(requests), timeout=30)
    assert symbol in [service.name for service in listed.list_services_response.service]
    (serialized,) = described.file_descriptor_response.file_descriptor_proto
    file = descriptor_pb2.FileDescriptorProto.FromString(serialized)
    assert [method.name for method in file.service[0].method] == list(INFERENCE_METHODS)
    contents = next(m for m in file.message_type if m.name == "InferTensorContents")
    types = {field.name: field.type for field in contents.field}
    assert types["fp32_contents"] == descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT
    assert types["fp64_contents"] == descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE
