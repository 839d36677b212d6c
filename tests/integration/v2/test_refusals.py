"""Requests that are wrong in each possible way: the right code, and a server that lives."""

import json

import numpy as np
import pytest

from tests.support import exports
from tests.support.open_inference import Grpc, Refused, Rest, raw
from wire import open_inference_pb2 as pb

X = np.float32([[1, 2, 3, 4]])
INFER = "/v2/models/scaled/infer"
TENSOR = {"name": "inputs", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
BINARY = {"name": "inputs", "datatype": "FP32", "shape": [1, 4],
          "parameters": {"binary_data_size": 16}}  # fmt: skip
TOO_LARGE = 2**62


@pytest.fixture(autouse=True)
def lives(server):
    yield
    assert server.process.poll() is None
    answer = Rest(server, binary=False).infer("scaled", {"inputs": X})
    np.testing.assert_allclose(
        answer["output_0"], exports.scaled_answer(X, 3), rtol=1e-5, atol=1e-5
    )
    assert "Traceback" not in server.log


def refusal(form, *arguments, **options):
    with pytest.raises(Refused) as caught:
        form.infer(*arguments, **options)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("model", "version", "code", "message"),
    [
        ("nope", "", "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        ("scaled", "2", "NOT_FOUND", "Servable not found for request: Specific(scaled, 2)"),
        ("scaled", "9" * 30, "INVALID_ARGUMENT", f"version {'9' * 30} is beyond 64 bits"),
        ("scaled", "first", "INVALID_ARGUMENT", "Unrecognized servable version label: first"),
    ],
)
def test_models_and_versions_that_are_not_there(form, model, version, code, message):
    assert refusal(form, model, {"inputs": X}, version=version) == (code, message)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Missing but required: {inputs}."),
        ({"x": X}, "signature serving_default has no input x; its inputs are: inputs"),
        ({"inputs": X, "x": X}, "signature serving_default has no input x"),
        ({"inputs": X.astype(np.float64)}, "has datatype FP64; signature serving_default takes FP"),
        ({"inputs": X.astype(np.int32)}, "has datatype INT32; signature serving_default takes FP"),
        ({"inputs": X[0]}, "input inputs has shape [4]; signature serving_default takes [-1, 4]"),
        ({"inputs": X[:, :3]}, "has shape [1, 3]; signature serving_default takes [-1, 4]"),
        ({"inputs": X[None]}, "has shape [1, 1, 4]; signature serving_default takes [-1, 4]"),
        ({"inputs": X[:0]}, "has shape [0, 4]"),  # JAX's programs take no empty batch
    ],
    ids=str,
)
def test_inputs_that_the_signature_does_not_take(form, inputs, message):
    code, found = refusal(form, "scaled", inputs)
    assert code == "INVALID_ARGUMENT"
    assert message in found


@pytest.mark.parametrize("datatype", ["FLOAT", "fp32", "STRING", "", "DT_FLOAT"])
def test_data_types_that_there_are_not(form, datatype):
    code, found = refusal(form, "scaled", {"inputs": X}, overrides={"datatype": datatype})
    assert code == "INVALID_ARGUMENT"
    assert "datatype" in found


@pytest.mark.parametrize(
    "shape", [[TOO_LARGE, 4], [TOO_LARGE, 0], [100_000_000, 4], [TOO_LARGE] * 60, [1] * 65]
)
def test_shapes_without_end_cost_nothing(form, shape):
    code, found = refusal(form, "scaled", {"inputs": X}, overrides={"shape": shape})
    assert (code, "input inputs" in found) == ("INVALID_ARGUMENT", True)
    code, found = refusal(form, "every_dtype", {"x": X}, overrides={"shape": shape})
    assert (code, "input x" in found) == ("INVALID_ARGUMENT", True)


def test_outputs_that_there_are_not(form):
    code, found = refusal(form, "scaled", {"inputs": X}, outputs=["y"])
    assert (code, "output tensor alias not found in signature: y" in found) == (
        "INVALID_ARGUMENT", True,
    )  # fmt: skip


def test_an_output_of_a_dtype_without_data_type_is_refused(channel):
    code, found = refusal(
        Grpc(channel, is_raw=True), "every_dtype", {"x": X}, signature="complex64"
    )
    assert (code, "DT_COMPLEX64" in found) == ("INVALID_ARGUMENT", True)


BODIES = [
    (b"", "the request has no body"),
    (b"[]", "the request must be a JSON object"),
    (b"{", "the request is not JSON"),
    (b"\xff", "the request is not JSON"),
    ({}, "inputs must be a list of tensors"),
    ({"inputs": {}}, "inputs must be a list of tensors"),
    ({"inputs": [1]}, "inputs[0] must be a JSON object"),
    ({"inputs": [TENSOR | {"name": 1}]}, "inputs[0].name must be a string"),
    ({"inputs": [TENSOR | {"datatype": None}]}, "inputs[0].datatype must be a string"),
    ({"inputs": [TENSOR | {"shape": 4}]}, "inputs[0].shape must be a list of whole numbers"),
    ({"inputs": [TENSOR | {"shape": [-1, 4]}]}, "inputs[0].shape must be a list of whole numbers"),
    ({"inputs": [TENSOR | {"shape": [1.0, 4]}]}, "inputs[0].shape must be a list of whole"),
    ({"inputs": [TENSOR | {"shape": [True, 4]}]}, "inputs[0].shape must be a list of whole"),
    ({"inputs": [TENSOR | {"parameters": 1}]}, "inputs[0].parameters must be a JSON object"),
    ({"inputs": [TENSOR | {"data": None}]}, "has neither data nor binary_data_size"),
    ({"inputs": [TENSOR | {"data": "1"}]}, "data must be a list"),
    ({"inputs": [TENSOR | {"data": [1, 2, 3]}]}, "data have 3 values; shape [1, 4] needs 4"),
    ({"inputs": [TENSOR | {"data": [[1, 2], [3, 4]]}]}, "data differ from their shape in axis 0"),
    ({"inputs": [TENSOR | {"data": [[1, 2, [3], 4]]}]}, "float32 takes integer or fraction, not l"),
    ({"inputs": [TENSOR | {"data": [1, 2, 3, "4"]}]}, "takes integer or fraction, not string"),
    ({"inputs": [TENSOR | {"data": [1, 2, 3, True]}]}, "takes integer or fraction, not boolean"),
    ({"inputs": [TENSOR | {"data": [1, 2, 3, None]}]}, "takes integer or fraction, not null"),
    ({"inputs": [TENSOR, TENSOR]}, "input inputs is given twice"),
    ({"inputs": [TENSOR], "id": 1}, "id must be a string"),
    ({"inputs": [TENSOR], "parameters": []}, None),
    ({"inputs": [TENSOR], "parameters": [1]}, "parameters must be a JSON object"),
    ({"inputs": [TENSOR], "parameters": {"signature_name": 1}}, "signature_name must be a string"),
    ({"inputs": [TENSOR], "parameters": {"binary_data_output": 1}}, "must be true or false"),
    ({"inputs": [TENSOR], "outputs": {}}, "outputs must be a list of tensors"),
    ({"inputs": [TENSOR], "outputs": [{}]}, "outputs[0].name must be a string"),
    ({"inputs": [TENSOR], "outputs": [{"name": "output_0"}] * 2}, "is asked for twice"),
    (
        {"inputs": [TENSOR], "outputs": [{"name": "output_0", "parameters": {"binary_data": 1}}]},
        "parameter binary_data must be true or false",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), BODIES, ids=lambda value: str(value)[:60])
def test_bodies_that_are_no_requests(server, body, message):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, _, found = server.rest(INFER, content, method="POST")
    if message is None:  # what is empty says nothing
        assert status == 200
    else:
        assert status == 400
        assert message in json.loads(found)["error"]


def test_json_that_no_parser_survives(server):
    deep = b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for body in (deep, b'{"inputs": [' + b"1" * 100_000 + b"]}"):
        status, _, found = server.rest(INFER, body)
        assert (status, list(json.loads(found))) == (400, ["error"])


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "", "9" * 30, "+5", "\u0665"])
def test_lengths_of_the_json_that_are_none(server, length):
    text = json.dumps({"inputs": [BINARY]}).encode()
    headers = {"Inference-Header-Content-Length": length.encode().decode("latin-1")}
    status, _, found = server.rest(INFER, text + raw(X), headers=headers)
    assert status == 400
    assert "Inference-Header-Content-Length is" in json.loads(found)["error"]


@pytest.mark.parametrize(
    ("tensor", "data", "message"),
    [
        (BINARY, raw(X)[:15], "binary_data_size is 16; 15 bytes of binary data follow"),
        (BINARY, b"", "binary_data_size is 16; 0 bytes of binary data follow"),
        (BINARY, raw(X) + b"1", "1 bytes of binary data belong to no input"),
        (BINARY | {"parameters": {"binary_data_size": 15}}, raw(X), "1 bytes of binary data belo"),
        (BINARY | {"parameters": {"binary_data_size": -1}}, raw(X), "binary_data_size is -1"),
        (BINARY | {"parameters": {"binary_data_size": "16"}}, raw(X), "binary_data_size is 16"),
        (BINARY | {"data": [1]}, raw(X), "has both data and binary_data_size"),
        (BINARY | {"shape": [2, 4]}, raw(X), "16 bytes; shape [2, 4] of float32 needs 32"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_binary_data_that_is_not_what_was_announced(server, tensor, data, message):
    with pytest.raises(Refused) as caught:
        Rest(server, binary=True).post(INFER, {"inputs": [tensor]}, [data])
    assert message in caught.value.message


@pytest.mark.parametrize("data", [b"\0", b"\1\0\0\0", b"\xff\xff\xff\xff1234", b"\0\0\0\0extra"])
def test_strings_whose_lengths_lie(server, channel, data):
    tensor = {"name": "x", "datatype": "BYTES", "shape": [1],
              "parameters": {"binary_data_size": len(data)}}  # fmt: skip
    head = {"inputs": [tensor], "parameters": {"signature_name": "string"}}
    with pytest.raises(Refused) as by_rest:
        Rest(server, binary=True).post("/v2/models/every_dtype/infer", head, [data])
    request = pb.ModelInferRequest(model_name="every_dtype", raw_input_contents=[data])
    request.parameters["signature_name"].string_param = "string"
    request.inputs.add(name="x", datatype="BYTES", shape=[1])
    with pytest.raises(Refused) as by_grpc:
        Grpc(channel, is_raw=True).send(request)
    assert by_rest.value.code == by_grpc.value.code == "INVALID_ARGUMENT"
    assert by_rest.value.message == by_grpc.value.message


def test_a_byte_that_is_neither_true_nor_false(channel):
    request = pb.ModelInferRequest(model_name="every_dtype", raw_input_contents=[b"\1\2"])
    request.parameters["signature_name"].string_param = "bool"
    request.inputs.add(name="x", datatype="BOOL", shape=[2])
    with pytest.raises(Refused, match="neither 0 nor 1"):
        Grpc(channel, is_raw=True).send(request)


def message(**fields):
    request = pb.ModelInferRequest(model_name="scaled", **fields)
    request.inputs.add(name="inputs", datatype="FP32", shape=[1, 4])
    return request


def with_contents(**fields):
    request = message()
    for name, values in fields.items():
        getattr(request.inputs[0].contents, name).extend(values)
    return request


def test_messages_that_are_no_requests(channel):
    both = with_contents(fp32_contents=[raw(X)])
    both.raw_input_contents.append(raw(X))
    negative = message(raw_input_contents=[raw(X)])
    negative.inputs[0].shape[0] = -1
    half = message()
    half.model_name = "every_dtype"
    half.parameters["signature_name"].string_param = "float16"
    half.inputs[0].name, half.inputs[0].datatype = "x", "FP16"
    number = message(raw_input_contents=[raw(X)])
    number.parameters["signature_name"].int64_param = 1
    for request, text in (
        (pb.ModelInferRequest(), "ModelSpec has no name specified."),
        (message(), "fp32_contents has 0 values; shape [1, 4] needs 4"),
        (message(raw_input_contents=[raw(X)] * 2), "raw_input_contents has 2 entries for 1 inputs"),
        (message(raw_input_contents=[raw(X)[:3]]), "3 bytes; shape [1, 4] of float32 needs 16"),
        (both, "has both contents and raw_input_contents"),
        (negative, "has a negative dimension in its shape [-1, 4]"),
        (half, "FP16 has no typed contents; send raw_input_contents"),
        (number, "parameter signature_name must be a string"),
        (with_contents(fp32_contents=[raw(X)[:15]]), "fp32_contents has 3.75 values"),
        (with_contents(fp64_contents=[raw(X)]), "fp32_contents has 0 values"),
        (with_contents(int_contents=[1, 2, 3, 4]), "fp32_contents has 0 values"),
    ):
        with pytest.raises(Refused) as caught:
            Grpc(channel, is_raw=True).send(request)
        assert caught.value.code == "INVALID_ARGUMENT"
        assert text in caught.value.message


def test_floats_need_not_be_packed(channel):
    """As in official messages of writers that send one number a field."""
    plain = message().SerializeToString()
    prefix, tensor = plain[:8], plain[8:]  # model_name, and the input with its length
    assert prefix == b"\x0a\x06scaled"
    assert tensor[:1] == b"\x2a"
    contents = b"".join(b"\x35" + X[0, i].tobytes() for i in range(4))
    inner = tensor[2:] + b"\x2a" + bytes([len(contents)]) + contents
    request = pb.ModelInferRequest.FromString(prefix + b"\x2a" + bytes([len(inner)]) + inner)
    answer = Grpc(channel, is_raw=False).send(request)
    np.testing.assert_allclose(
        answer["output_0"], exports.scaled_answer(X, 3), rtol=1e-5, atol=1e-5
    )


def test_extensions_that_would_be_answered_wrongly_are_refused(server, channel):
    shared = {"shared_memory_region": "r", "shared_memory_byte_size": 16}
    classes = {"classification": 1}
    for head in (
        {"inputs": [TENSOR], "parameters": {"sequence_id": 1}},
        {"inputs": [TENSOR | {"parameters": shared}]},
        {"inputs": [TENSOR], "outputs": [{"name": "output_0", "parameters": shared}]},
        {
            "inputs": [TENSOR],
            "outputs": [{"name": "output_0", "parameters": classes}],
        },
    ):
        status, _, found = server.rest(INFER, head)
        assert (status, "is not supported: " in json.loads(found)["error"]) == (501, True)
    sequence = message(raw_input_contents=[raw(X)])
    sequence.parameters["sequence_id"].int64_param = 1
    region = message(raw_input_contents=[raw(X)])
    region.inputs[0].parameters["shared_memory_region"].string_param = "r"
    top = message(raw_input_contents=[raw(X)])
    top.outputs.add(name="output_0").parameters["classification"].int64_param = 1
    for request in (sequence, region, top):
        with pytest.raises(Refused, match="is not supported: ") as caught:
            Grpc(channel, is_raw=True).send(request)
        assert caught.value.code == "UNIMPLEMENTED"


def test_parameters_of_others_are_passed_over(server, channel):
    head = {"inputs": [TENSOR | {"parameters": {"content_type": "np"}}], "parameters": {"a": 1.5}}
    assert server.rest(INFER, head)[0] == 200
    request = message(raw_input_contents=[raw(X)])
    request.parameters["priority"].uint64_param = 1
    assert Grpc(channel, is_raw=True).send(request).version == "3"
