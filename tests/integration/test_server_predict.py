"""Predict, status and metadata through both faces, on models that TensorFlow wrote."""

import json

import grpc
import numpy as np
import pytest

from tests.support import needs, saved_models
from wire import services, tensors
from wire import serving_pb2 as pb

tf = needs.package("tensorflow", "exporter")

PREDICT = "/v1/models/half_plus_two:predict"


def predict(server, model, signature, inputs, **spec):
    request = pb.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for key, value in spec.items():
        if key == "version":
            request.model_spec.version.value = value
        elif key == "label":
            request.model_spec.version_label = value
        else:
            request.output_filter.extend(value)
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tensors.from_array(array))
    with server.channel() as channel:
        response = services.PREDICTION_METHODS["Predict"].stub(channel)(request, timeout=60)
    return response, {name: tensors.to_array(response.outputs[name]) for name in response.outputs}


def failure(server, *arguments, **spec):
    with pytest.raises(grpc.RpcError) as caught:
        predict(server, *arguments, **spec)
    return caught.value.code().name, caught.value.details()


def test_rest_prints_what_the_documentation_prints(tensorflow_server):
    status, headers, body = tensorflow_server.rest(PREDICT, b'{"instances": [1.0, 2.0, 5.0]}')
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body == b'{\n    "predictions": [2.5, 3.0, 4.5]\n}'
    _, _, body = tensorflow_server.rest(PREDICT, b'{"inputs": [1.0, 2.0]}')
    assert body == b'{\n    "outputs": [\n        2.5,\n        3.0\n    ]\n}'
    _, _, body = tensorflow_server.rest("/v1/models/half_plus_two")
    assert body == (
        b'{\n "model_version_status": [\n  {\n   "version": "123",\n   "state": "AVAILABLE",\n'
        b'   "status": {\n    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )


def test_grpc_answers_with_the_version_and_the_signature(tensorflow_server):
    x = np.random.default_rng(0).normal(size=(7, 1)).astype(np.float32)
    response, outputs = predict(tensorflow_server, "half_plus_two", "", {"x": x})
    np.testing.assert_array_equal(outputs["y"], x / 2 + 2)
    assert response.model_spec.version.value == 123
    assert response.model_spec.signature_name == "serving_default"


@pytest.mark.parametrize("where", ["", "/versions/123", "/labels/stable"])
def test_versions_and_labels_choose(tensorflow_server, where):
    path = f"/v1/models/half_plus_two{where}"
    status, _, body = tensorflow_server.rest(f"{path}:predict", {"instances": [[4.0]]})
    assert (status, json.loads(body)) == (200, {"predictions": [[4.0]]})
    assert (
        json.loads(tensorflow_server.rest(path)[2])["model_version_status"][0]["version"] == "123"
    )
    metadata = json.loads(tensorflow_server.rest(f"{path}/metadata")[2])
    assert metadata["model_spec"] == {
        "name": "half_plus_two", "signature_name": "", "version": "123"
    }  # fmt: skip
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
            "unknown_rank": False,
        },
        "name": "x:0",
    }


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("half:predict", {"instances": [1.0]}, 404, "Servable not found for request: Latest(half)"),
        (
            "half_plus_two/versions/7:predict", {"instances": [1.0]}, 404,
            "Servable not found for request: Specific(half_plus_two, 7)",
        ),
        (
            "half_plus_two/labels/no:predict", {"instances": [1.0]}, 400,
            "Unrecognized servable version label: no",
        ),
        ("half_plus_two:predict", {}, 400, "Missing 'inputs' or 'instances' key"),
        ("half_plus_two:predict", b"", 400, "JSON Parse error: The document is empty"),
        ("half_plus_two:predict", b"{", 400,
         "JSON Parse error: Missing a name for object member. at offset: 1"),
        (
            "half_plus_two:predict", {"signature_name": "no", "instances": [1.0]}, 400,
            'Serving signature name: "no" not found in signature def',
        ),
        (
            "half_plus_two:predict", {"instances": ["x"]}, 400,
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "x" Type: String is not of expected type: float',
        ),
        ("half_plus_two:divine", {}, 400,
         "Malformed request: POST /v1/models/half_plus_two:divine"),
        ("half_plus_two/versions/99999999999999999999:predict", {}, 400,
         "Failed to convert version: 99999999999999999999 to numeric."),
    ],
)  # fmt: skip
def test_rest_fails_in_the_official_words(tensorflow_server, path, body, status, error):
    found = tensorflow_server.rest(f"/v1/models/{path}", body)
    assert (found[0], json.loads(found[2])) == (status, {"error": error})


def test_status_of_what_isnt_there(tensorflow_server):
    status, _, body = tensorflow_server.rest("/v1/models/half")
    assert (status, json.loads(body)) == (
        404, {"error": "Could not find any versions of model half"}
    )  # fmt: skip
    status, _, body = tensorflow_server.rest("/v1/models/half_plus_two/versions/7")
    assert (status, json.loads(body)) == (
        404, {"error": "Could not find version 7 of model half_plus_two"}
    )  # fmt: skip


def test_grpc_fails_in_the_official_words(tensorflow_server):
    x = np.float32([1])
    assert failure(tensorflow_server, "half_plus_two", "s", {"x": x}) == (
        "FAILED_PRECONDITION", 'Serving signature key "s" not found.'
    )  # fmt: skip
    assert failure(tensorflow_server, "half_plus_two", "", {"x": x, "a": x}) == (
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({a,x}) != len({x}). "
        "Sent extra: {a}. Missing but required: {}.",
    )
    assert failure(tensorflow_server, "half_plus_two", "", {"x": np.float64([1])}) == (
        "INVALID_ARGUMENT", "Expects arg[0] to be float but double is provided"
    )  # fmt: skip
    assert failure(tensorflow_server, "half_plus_two", "", {"x": x}, output_filter=["z"]) == (
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
    )
    assert failure(tensorflow_server, "half", "", {"x": x}) == (
        "NOT_FOUND", "Servable not found for request: Latest(half)"
    )  # fmt: skip
    assert failure(tensorflow_server, "half_plus_two", "", {"x": x}, label="no") == (
        "INVALID_ARGUMENT", "Unrecognized servable version label: no"
    )  # fmt: skip


@pytest.mark.parametrize("dtype", saved_models.DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (3, 2), (0, 2)])
def test_every_dtype_comes_back_by_grpc(tensorflow_server, dtype, shape):
    x = saved_models.random(dtype, shape)
    _, outputs = predict(tensorflow_server, "every_dtype", dtype, {"x": x})
    np.testing.assert_array_equal(outputs["y"], x)


@pytest.mark.parametrize("dtype", [d for d in saved_models.DTYPES if "complex" not in d])
@pytest.mark.parametrize("shape", [(1,), (3, 2)])
def test_every_dtype_comes_back_by_rest(tensorflow_server, dtype, shape):
    x = saved_models.random(dtype, shape)
    values = x.astype(str if dtype == "string" else x.dtype).tolist()
    for key, answer in (("instances", "predictions"), ("inputs", "outputs")):
        _, _, body = tensorflow_server.rest(
            "/v1/models/every_dtype:predict", {"signature_name": dtype, key: values}
        )
        found = np.array(json.loads(body)[answer], str if dtype == "string" else x.dtype)
        np.testing.assert_array_equal(found, np.array(values, found.dtype))


def test_several_inputs_and_outputs_are_named(tensorflow_server):
    path = "/v1/models/every_dtype:predict"
    rows = {"signature_name": "two", "instances": [{"a": 1, "b": 0.5}, {"b": 2.5, "a": 3}]}
    _, _, body = tensorflow_server.rest(path, rows)
    assert body == (
        b'{\n    "predictions": [\n        {\n            "difference": 0.5,\n'
        b'            "sum": 1.5\n        },\n        {\n            "difference": 0.5,\n'
        b'            "sum": 5.5\n        }\n    ]\n}'
    )
    columns = {"signature_name": "two", "inputs": {"a": [1, 3], "b": [0.5, 2.5]}}
    _, _, body = tensorflow_server.rest(path, columns)
    assert json.loads(body) == {"outputs": {"sum": [1.5, 5.5], "difference": [0.5, 0.5]}}


def test_an_output_filter_leaves_the_rest_out(tensorflow_server):
    inputs = {"a": np.int32([1]), "b": np.float32([2])}
    _, outputs = predict(tensorflow_server, "every_dtype", "two", inputs, output_filter=["sum"])
    assert list(outputs) == ["sum"]


def test_inputs_with_a_default_may_be_left_out(tensorflow_server):
    x = np.float32([1, 2])
    _, outputs = predict(tensorflow_server, "every_dtype", "default", {"x": x})
    np.testing.assert_array_equal(outputs["y"], x * 3)
    _, outputs = predict(tensorflow_server, "every_dtype", "default", {"x": x, "by": np.float32(5)})
    np.testing.assert_array_equal(outputs["y"], x * 5)
    assert failure(tensorflow_server, "every_dtype", "default", {"by": np.float32(5)})[0] == (
        "INVALID_ARGUMENT"
    )
    for body in ({"instances": [{"x": 1.0}, {"x": 2.0}]}, {"inputs": {"x": [1.0, 2.0]}}):
        _, _, answer = tensorflow_server.rest(
            "/v1/models/every_dtype:predict", {"signature_name": "default", **body}
        )
        assert list(json.loads(answer).values()) == [[3.0, 6.0]]


def test_bytes_go_in_and_out_as_base64(tensorflow_server):
    request = {"signature_name": "strings", "instances": [{"b64": "/wA="}, "é"]}
    _, _, body = tensorflow_server.rest("/v1/models/every_dtype:predict", request)
    assert json.loads(body)["predictions"] == [
        {"raw_bytes": {"b64": "/wD/AA=="}, "text": {"b64": "/wA="}},
        {"raw_bytes": {"b64": "w6nDqQ=="}, "text": "é"},
    ]


def test_the_official_stubs_get_the_same_answer(tensorflow_server):
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half_plus_two"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([[1.0], [2.0]]))
    with tensorflow_server.channel() as channel:
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = prediction.Predict(request)
        np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]), [[2.5], [3.0]])
        assert list(response.outputs["y"].float_val) == [2.5, 3.0]
        metadata_request = get_model_metadata_pb2.GetModelMetadataRequest(
            metadata_field=["signature_def"]
        )
        metadata_request.model_spec.name = "half_plus_two"
        metadata = prediction.GetModelMetadata(metadata_request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert metadata.metadata["signature_def"].Unpack(signatures)
        assert signatures.signature_def["serving_default"].inputs["x"].name == "x:0"
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        status_request = get_model_status_pb2.GetModelStatusRequest()
        status_request.model_spec.name = "half_plus_two"
        (status,) = models.GetModelStatus(status_request).model_version_status
        assert (status.version, status.state) == (123, status.AVAILABLE)


def test_a_scalar_goes_in_and_out_in_columnar_form(tensorflow_server):
    for value, answer in (
        ("hello", b'"hello"'),
        ({"b64": "aGVsbG8="}, b'"hello"'),
        ({"x": "hello"}, b'"hello"'),
        ("a\0", b'"a\\u0000"'),
    ):
        body = {"signature_name": "string", "inputs": value}
        status, _, found = tensorflow_server.rest("/v1/models/every_dtype:predict", body)
        assert (status, found) == (200, b'{\n    "outputs": ' + answer + b"\n}")


def test_a_scalars_shape_is_set(tensorflow_server):
    response, _ = predict(tensorflow_server, "every_dtype", "float32", {"x": np.float32(2)})
    assert response.outputs["y"].HasField("tensor_shape")


@pytest.mark.parametrize(
    ("dtype", "text", "value"),
    [("float32", "123456789", 123456792.0), ("float64", "9007199254740993", 9007199254740992.0),
     ("float32", "1e300", float("inf")), ("int8", "300", 44)],
)  # fmt: skip
def test_numbers_are_rounded(tensorflow_server, dtype, text, value):
    body = f'{{"signature_name": "{dtype}", "instances": [{text}]}}'.encode()
    _, _, answer = tensorflow_server.rest("/v1/models/every_dtype:predict", body)
    assert json.loads(answer) == {"predictions": [value]}


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint64"])
def test_integers_outside_an_integer_dtype_are_refused(tensorflow_server, dtype):
    body = f'{{"signature_name": "{dtype}", "instances": [36893488147419103232]}}'.encode()
    status, _, answer = tensorflow_server.rest("/v1/models/every_dtype:predict", body)
    assert (status, json.loads(answer)["error"].rpartition("Error: ")[2]) == (
        400,
        "INVALID_ARGUMENT: JSON Value: 36893488147419103000.0 Type: Number is not of expected "
        f"type: {dtype}",
    )
