"""Status and metadata by both faces."""

import json

import grpc
import pytest

from wire import services
from wire import serving_pb2 as pb


def status(server, name, version=None, label=""):
    request = pb.GetModelStatusRequest(model_spec=pb.ModelSpec(name=name))
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    with server.channel() as channel:
        response = services.MODEL_METHODS["GetModelStatus"].stub(channel)(request, timeout=60)
    return {entry.version: entry.state for entry in response.model_version_status}


AVAILABLE = 30


def test_the_status_lists_the_versions(server):
    assert status(server, "scaled") == {1: AVAILABLE, 3: AVAILABLE}
    assert status(server, "scaled", 3) == {3: AVAILABLE}
    assert status(server, "scaled", label="stable") == {1: AVAILABLE}
    for path, versions in (("", ["3", "1"]), ("/versions/1", ["1"]), ("/labels/new", ["3"])):
        code, headers, body = server.rest(f"/v1/models/scaled{path}")
        assert (code, headers["Content-Type"]) == (200, "application/json")
        entries = json.loads(body)["model_version_status"]
        assert [entry["version"] for entry in entries] == versions
        for entry in entries:
            assert entry["state"] == "AVAILABLE"
            assert entry["status"] == {"error_code": "OK", "error_message": ""}


@pytest.mark.parametrize(
    ("path", "arguments", "code", "message"),
    [
        ("none", ("none",), 404, "Could not find any versions of model none"),
        ("scaled/versions/2", ("scaled", 2), 404, "Could not find version 2 of model scaled"),
    ],
)
def test_what_isnt_there_is_not_found(server, path, arguments, code, message):
    found, _, body = server.rest(f"/v1/models/{path}")
    assert (found, json.loads(body)) == (code, {"error": message})
    with pytest.raises(grpc.RpcError) as caught:
        status(server, *arguments)
    assert (caught.value.code().name, caught.value.details()) == ("NOT_FOUND", message)


def test_a_missing_name_is_invalid(server):
    found, _, body = server.rest("/v1/models")
    assert (found, json.loads(body)) == (400, {"error": "Missing model name in request."})


def test_metadata_is_the_signatures(server):
    request = pb.GetModelMetadataRequest(
        model_spec=pb.ModelSpec(name="named"), metadata_field=["signature_def"]
    )
    with server.channel() as channel:
        stub = services.PREDICTION_METHODS["GetModelMetadata"].stub(channel)
        response = stub(request, timeout=60)
        del request.metadata_field[:]
        with pytest.raises(grpc.RpcError, match="must specify at least one metadata_field"):
            stub(request, timeout=60)
        request.metadata_field.append("vocabulary")
        with pytest.raises(grpc.RpcError, match="Metadata field vocabulary is not supported"):
            stub(request, timeout=60)
    packed = response.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signature = pb.SignatureDefMap.FromString(packed.value).signature_def["serving_default"]
    assert set(signature.inputs) == {"a", "b"}
    assert (response.model_spec.name, response.model_spec.version.value) == ("named", 5)

    _, _, body = server.rest("/v1/models/named/metadata")
    found = json.loads(body)
    assert found["model_spec"] == {"name": "named", "signature_name": "", "version": "5"}
    printed = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert printed["method_name"] == "tensorflow/serving/predict"
    assert printed["inputs"]["b"]["dtype"] == "DT_FLOAT"
    sizes = [dim["size"] for dim in printed["inputs"]["b"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "2"]
