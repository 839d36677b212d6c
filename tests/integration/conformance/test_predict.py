"""Predict by both faces: which servable answers, what it takes, how it fails."""

import json

import grpc
import numpy as np
import pytest

from tests.support import exports
from wire import serving_pb2 as pb
from wire import tensors


def close(found, expected):
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 17])
def test_rows_and_columns_and_messages_give_the_same_answer(server, predict, batch_size):
    x = np.random.default_rng(batch_size).normal(size=(batch_size, 4)).astype(np.float32)
    expected = exports.scaled_answer(x, 3)
    _, outputs = predict({"inputs": x})
    close(outputs["output_0"], expected)
    for key, answer in (("instances", "predictions"), ("inputs", "outputs")):
        status, headers, body = server.rest("/v1/models/scaled:predict", {key: x.tolist()})
        assert (status, headers["X-Model-Version"]) == (200, "3")
        close(json.loads(body)[answer], expected)


@pytest.mark.parametrize(
    ("where", "spec", "version"),
    [
        ("", {}, 3), ("/versions/1", {"version": 1}, 1), ("/versions/3", {"version": 3}, 3),
        ("/labels/stable", {"label": "stable"}, 1), ("/labels/new", {"label": "new"}, 3),
    ],
)  # fmt: skip
def test_the_request_chooses_the_version(server, predict, where, spec, version):
    x = np.ones((2, 4), np.float32)
    response, outputs = predict({"inputs": x}, **spec)
    assert response.model_spec.version.value == version
    assert response.model_spec.name == "scaled"
    assert response.model_spec.signature_name == "serving_default"
    close(outputs["output_0"], exports.scaled_answer(x, version))
    _, headers, body = server.rest(f"/v1/models/scaled{where}:predict", {"inputs": x.tolist()})
    assert headers["X-Model-Version"] == str(version)
    close(json.loads(body)["outputs"], exports.scaled_answer(x, version))


def test_named_tensors_go_in_and_out_by_name(server, predict):
    a, b = np.arange(3, dtype=np.int32), np.random.default_rng(0).normal(size=(3, 2))
    b = b.astype(np.float32)
    expected = exports.named_answer(a, b, 5)
    _, outputs = predict({"a": a, "b": b}, "named")
    for name, array in expected.items():
        close(outputs[name], array)
        assert outputs[name].dtype == array.dtype
    rows = [{"b": row.tolist(), "a": int(n)} for n, row in zip(a, b, strict=True)]
    _, _, body = server.rest("/v1/models/named:predict", {"instances": rows})
    for index, row in enumerate(json.loads(body)["predictions"]):
        close(row["sum"], expected["sum"][index])
        assert row["twice"] == expected["twice"][index]
    columns = {"a": a.tolist(), "b": b.tolist()}
    _, _, body = server.rest("/v1/models/named:predict", {"inputs": columns})
    close(json.loads(body)["outputs"]["sum"], expected["sum"])


def test_an_output_filter_chooses_outputs(predict):
    inputs = {"a": np.int32([1]), "b": np.float32([[0, 1]])}
    _, outputs = predict(inputs, "named", outputs=["twice"])
    assert list(outputs) == ["twice"]


X = np.ones((1, 4), np.float32)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({"inputs": {"inputs": X}, "model": "none"}, "NOT_FOUND",
         "Servable not found for request: Latest(none)"),
        ({"inputs": {"inputs": X}, "version": 2}, "NOT_FOUND",
         "Servable not found for request: Specific(scaled, 2)"),
        ({"inputs": {"inputs": X}, "label": "old"}, "INVALID_ARGUMENT",
         "Unrecognized servable version label: old"),
        ({"inputs": {"inputs": X}, "model": ""}, "INVALID_ARGUMENT",
         "ModelSpec has no name specified."),
        ({"inputs": {"inputs": X}, "signature": "s"}, "FAILED_PRECONDITION",
         'Serving signature key "s" not found.'),
        ({"inputs": {}}, "INVALID_ARGUMENT",
         "input size does not match signature: 0!=1 len({}) != len({inputs}). "
         "Sent extra: {}. Missing but required: {inputs}."),
        ({"inputs": {"a": np.int32([1]), "z": X}, "model": "named"}, "INVALID_ARGUMENT",
         "Signature input alias: b(feed name: serving_default_b:0) not found in request and no "
         "default value provided. Inputs expected to be in the request {a,z}, or default input "
         "alias set: "),
        ({"inputs": {"inputs": X.astype(np.float64)}}, "INVALID_ARGUMENT",
         "Expects arg[0] to be float but double is provided"),
        ({"inputs": {"inputs": X}, "outputs": ["y"]}, "INVALID_ARGUMENT",
         "output tensor alias not found in signature: y Outputs expected to be in the set "
         "{output_0}."),
        ({"inputs": {"inputs": X}, "outputs": ["output_0", "output_0"]}, "INVALID_ARGUMENT",
         "duplicate output tensor alias: output_0"),
    ],
)  # fmt: skip
def test_failures_have_the_official_codes_and_words(predict, arguments, code, message):
    with pytest.raises(grpc.RpcError) as caught:
        predict(**arguments)
    assert (caught.value.code().name, caught.value.details()) == (code, message)


@pytest.mark.parametrize("shape", [(4,), (1, 5), (2, 2, 4), ()])
def test_shapes_that_dont_fit_are_invalid(server, predict, shape):
    with pytest.raises(grpc.RpcError) as caught:
        predict({"inputs": np.ones(shape, np.float32)})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    body = {"inputs": np.ones(shape).tolist()}
    status, _, answer = server.rest("/v1/models/scaled:predict", body)
    assert status == 400
    assert json.loads(answer)["error"]
    predict({"inputs": X})  # and the server goes on


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("none:predict", {"inputs": [[1.0] * 4]}, 404,
         "Servable not found for request: Latest(none)"),
        ("scaled/versions/2:predict", {"inputs": [[1.0] * 4]}, 404,
         "Servable not found for request: Specific(scaled, 2)"),
        ("scaled/labels/old:predict", {"inputs": [[1.0] * 4]}, 400,
         "Unrecognized servable version label: old"),
        ("scaled:predict", {"signature_name": "s", "inputs": 1}, 400,
         'Serving signature name: "s" not found in signature def'),
        ("scaled:predict", b"[1]", 400, "JSON Value: [1] Is not object"),
        ("scaled:predict", {"signature_name": 1, "inputs": 1}, 400,
         'JSON Value: {\n    "signature_name": 1,\n    "inputs": 1\n} not formatted correctly. '
         "'signature_name' key must be a string value."),
        ("scaled:predict", {"inputs": 1, "instances": [1]}, 400,
         'JSON Value: {\n    "inputs": 1,\n    "instances": [1]\n} Not formatted '
         "correctly expecting only one of 'inputs' or 'instances' keys to exist "),
        ("scaled:predict", {"instances": 1}, 400,
         'JSON Value: {\n    "instances": 1\n} Expecting \'instances\' to be an list/array'),
        ("scaled:predict", {"instances": []}, 400,
         'JSON Value: {\n    "instances": []\n} No values in \'instances\' array'),
        ("scaled:predict", {}, 400, "Missing 'inputs' or 'instances' key"),
        ("named:predict", {"instances": [[1]]}, 400,
         "instances is a plain list, but expecting list of objects as multiple "
         "input tensors required as per tensorinfo_map"),
        ("scaled:predict?x=1", {"inputs": [[1.0] * 4]}, 400,
         "Malformed request: POST /v1/models/scaled:predict?x=1"),
        ("named:predict", {"instances": [{"a": 1}]}, 400,
         "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1\n} keys "
         "must be equal to: a,b"),
        ("named:predict", {"instances": [{"a": 1.5, "b": [1, 2]}]}, 400,
         "Failed to process element: 0 key: a of 'instances' list. Error: INVALID_ARGUMENT: JSON "
         "Value: 1.5 Type: Number is not of expected type: int32"),
        ("scaled:predict", b'{"inputs": [1 2]}', 400,
         "JSON Parse error: Missing a comma or ']' after an array element. at offset: 14"),
        ("scaled:divine", {}, 400, "Malformed request: POST /v1/models/scaled:divine"),
        (":predict", {}, 400, "Malformed request: POST /v1/models/:predict"),
    ],
)  # fmt: skip
def test_rest_failures_have_the_official_words(server, path, body, status, message):
    found, _, answer = server.rest(f"/v1/models/{path}", body)
    assert (found, json.loads(answer)) == (status, {"error": message})


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_malformed(server, method):
    path = "/v1/models/scaled:predict"
    status, _, body = server.rest(path, {"inputs": 1}, method=method)
    assert (status, json.loads(body)) == (400, {"error": f"Malformed request: {method} {path}"})


def test_names_in_paths_may_be_encoded(server):
    status, _, _ = server.rest("/V1/Models/sc%61led:predict", {"inputs": [[1.0] * 4]})
    assert status == 200


@pytest.mark.parametrize(
    "text",
    ['{"inputs": [[1, 2, 3, 4]]} and more', '{"a": [[[{}]], "]"], "inputs": [[1, 2, 3, 4]]}',
     '{"inputs": [[1.0, 2, 3e0, 4.00]], "inputs": 5}', '\ufeff {"instances": [[1,2,3,4]]}',
     '{"instances": [{"inputs": [1, 2, 3, 4]}]}', '{"inputs": {"inputs": [[1, 2, 3, 4]]}}'],
)  # fmt: skip
def test_what_the_official_parser_takes_is_taken(server, text):
    status, _, body = server.rest("/v1/models/scaled:predict", text.encode())
    assert status == 200
    expected = exports.scaled_answer(np.float32([[1, 2, 3, 4]]), 3)
    close(next(iter(json.loads(body).values())), expected)


def test_numbers_beyond_float32_are_infinite(server):
    body = b'{"instances": [[1e300, 0, 0, 0], [16777217, 0, 0, 0]]}'
    _, _, answer = server.rest("/v1/models/scaled:predict", body)
    exact = b'{"instances": [[Infinity, 0, 0, 0], [16777216, 0, 0, 0]]}'
    assert answer == server.rest("/v1/models/scaled:predict", exact)[2]


def send(stub, proto, model="scaled"):
    request = pb.PredictRequest(model_spec=pb.ModelSpec(name=model), inputs={"inputs": proto})
    return stub(request, timeout=60).outputs["output_0"]


def shaped(*sizes, **fields):
    shape = pb.TensorShapeProto(dim=[{"size": size} for size in sizes])
    return pb.TensorProto(dtype=1, tensor_shape=shape, **fields)


def test_more_values_than_a_shape_holds_are_cut_off(stub):
    x = np.arange(12, dtype=np.float32)
    found = tensors.to_array(send(stub, shaped(2, 4, float_val=[x.tobytes()])))
    close(found, exports.scaled_answer(x[:8].reshape(2, 4), 3))


def test_fewer_values_are_filled_up_with_the_last(stub):
    found = tensors.to_array(send(stub, shaped(2, 4, float_val=[np.float32([1, 2]).tobytes()])))
    x = np.float32([[1, 2, 2, 2], [2, 2, 2, 2]])
    close(found, exports.scaled_answer(x, 3))


@pytest.mark.parametrize(
    "proto",
    [
        shaped(1, 4, tensor_content=b"123"),
        shaped(-1, 4, float_val=[b"1234"]),
        shaped(10**8, 0),
        shaped(2**40, 2**40),
        shaped(10**8, 4, float_val=[b"1234"]),
        pb.TensorProto(dtype=0),
    ],
    ids=["content", "negative", "empty", "overflow", "too few", "dtype"],
)
def test_a_tensor_that_is_none_is_the_clients_fault(stub, proto):
    with pytest.raises(grpc.RpcError) as caught:
        send(stub, proto)
    assert (caught.value.code().name, caught.value.details()) == (
        "INVALID_ARGUMENT", "tensor parsing error: inputs"
    )  # fmt: skip


def test_a_tensor_of_unknown_rank_is_a_scalar(stub):
    proto = pb.TensorProto(
        dtype=1, tensor_shape={"unknown_rank": True}, float_val=[np.float32([1]).tobytes()]
    )
    with pytest.raises(grpc.RpcError) as caught:  # this signature takes none
        send(stub, proto)
    assert "tensor parsing error" not in caught.value.details()


@pytest.mark.parametrize("rows", [3_000, 60_000])
def test_long_requests_and_answers_are_the_same_by_both_faces(server, predict, rows):
    x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
    expected = exports.scaled_answer(x, 3)
    _, outputs = predict({"inputs": x})
    close(outputs["output_0"], expected)
    named = [{"inputs": row} for row in x.tolist()]
    for body in (
        {"instances": x.tolist()},
        {"inputs": {"inputs": x.tolist()}},
        {"instances": named},
    ):
        status, _, answer = server.rest("/v1/models/scaled:predict", body)
        assert status == 200
        close(next(iter(json.loads(answer).values())), expected)
