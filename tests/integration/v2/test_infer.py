"""Inference in each form: values, versions, signatures, requested outputs, identifiers."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.support import exports, saved_models
from tests.support.open_inference import DATATYPES, Refused, Rest, raw, read_rest, strings

X = np.float32([[1, 2, 3, 4], [-0.5, 0, 1e-3, 7]])
INFER = "/v2/models/scaled/infer"


def check(actual, expected):
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_the_latest_version_answers_unless_another_is_asked_for(form):
    for version, expected in (("", 3), ("3", 3), ("1", 1), ("stable", 1)):
        answer = form.infer("scaled", {"inputs": X}, version=version)
        assert (answer.model, answer.version, answer.id) == ("scaled", str(expected), None)
        check(answer["output_0"], exports.scaled_answer(X, expected))


@pytest.mark.parametrize("id", ["42", "ü/\u20ac \n"])
def test_the_identifier_comes_back(form, id):
    assert form.infer("scaled", {"inputs": X}, id=id).id == id


def test_outputs_are_those_asked_for_in_that_order(form):
    a, b = np.int32([1, 2]), np.float32([[1, 2], [3, 4]])
    expected = exports.named_answer(a, b, 5)
    for names in (("sum",), ("twice", "sum"), ()):
        answer = form.infer("named", {"b": b, "a": a}, outputs=names)
        assert list(answer.outputs) == list(names or ("sum", "twice"))
        for name, found in answer.outputs.items():
            check(found, expected[name])


def test_a_parameter_names_the_signature(form):
    x = np.int8([[1, -2]])
    np.testing.assert_array_equal(form.infer("every_dtype", {"x": x}, signature="int8")["y"], x)
    with pytest.raises(Refused, match='Serving signature key "nope" not found'):
        form.infer("every_dtype", {"x": x}, signature="nope")
    with pytest.raises(Refused, match="has datatype INT8; signature serving_default takes FP32"):
        form.infer("every_dtype", {"x": x})


def test_an_input_with_a_default_may_be_left_out(form):
    x = np.float32([1, 2])
    answer = form.infer("every_dtype", {"x": x}, signature="default")
    check(answer["y"], x * 3)
    by = np.array(2, np.float32)
    check(form.infer("every_dtype", {"x": x, "by": by}, signature="default")["y"], x * 2)


@given(
    npst.arrays(
        np.float32,
        npst.array_shapes(min_dims=1, max_dims=1, max_side=40).map(lambda s: (*s, 4)),
        elements=st.floats(-8, 8, width=32),
    )
)
def test_random_batches_are_answered_as_by_jax(form, x):
    import jax
    import jax.numpy as jnp

    with jax.default_device(jax.devices("cpu")[0]):
        expected = np.asarray(jnp.tanh(jnp.asarray(x) @ exports.WEIGHTS) * jnp.float32(3))
    check(form.infer("scaled", {"inputs": x})["output_0"], expected)


def test_json_data_may_be_nested_or_flat(server):
    rest = Rest(server, binary=False)
    for data in (X.tolist(), X.ravel().tolist()):
        tensor = {"name": "inputs", "datatype": "FP32", "shape": [2, 4], "data": data}
        answer = rest.post(INFER, {"inputs": [tensor]})
        check(answer["output_0"], exports.scaled_answer(X, 3))


def test_each_output_may_be_binary_or_not(server):
    a, b = np.int32([1, 2]), np.float32([[1, 2], [3, 4]])
    inputs = [
        {"name": "a", "datatype": "INT32", "shape": [2], "data": a.tolist()},
        {"name": "b", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}},
    ]
    for default, one, expected in (
        (True, None, {"sum": 8, "twice": 8}), (True, False, {"sum": None, "twice": 8}),
        (False, True, {"sum": 8, "twice": None}), (False, None, {"sum": None, "twice": None}),
    ):  # fmt: skip
        outputs = [{"name": "sum"}, {"name": "twice"}]
        if one is not None:
            outputs[0]["parameters"] = {"binary_data": one}
        head = {"inputs": inputs, "outputs": outputs}
        head["parameters"] = {"binary_data_output": default}
        text = json.dumps(head).encode()
        headers = {"Inference-Header-Content-Length": str(len(text))}
        found = server.rest("/v2/models/named/infer", text + raw(b), headers=headers)
        size = int(found[1].get("Inference-Header-Content-Length", len(found[2])))
        document = json.loads(found[2][:size])
        sizes = {
            output["name"]: output.get("parameters", {}).get("binary_data_size")
            for output in document["outputs"]
        }
        assert sizes == expected
        answer = read_rest(*found)
        for name, array in exports.named_answer(a, b, 5).items():
            check(answer[name], array)


def test_a_body_without_json_is_the_only_input(server):
    headers = {"Inference-Header-Content-Length": "0"}
    for rows in (1, 2):
        answer = read_rest(*server.rest(INFER, raw(X[:rows]), headers=headers))
        check(answer["output_0"], exports.scaled_answer(X[:rows], 3))
    for path, body, problem in (
        (INFER, raw(X)[:-1], "31 bytes; shape [1, 4] of float32 needs 16"),
        ("/v2/models/named/infer", b"", "is for signatures with one input; serving_default has 2"),
        ("/v2/models/every_dtype/infer", b"1234", "send it as JSON"),
    ):
        status, _, found = server.rest(path, body, headers=headers)
        assert status == 400
        assert problem in json.loads(found)["error"]


def test_a_compressed_body_is_measured_inflated(server):
    head = {"inputs": [{"name": "inputs", "datatype": "FP32", "shape": [2, 4],
                        "parameters": {"binary_data_size": 32}}]}  # fmt: skip
    text = json.dumps(head).encode()
    headers = {
        "Content-Encoding": "gzip",
        "Inference-Header-Content-Length": str(len(text)),
    }
    answer = read_rest(*server.rest(INFER, gzip.compress(text + raw(X)), headers=headers))
    check(answer["output_0"], exports.scaled_answer(X, 3))


def test_large_requests_and_answers_in_each_form(form):
    x = np.random.default_rng(0).normal(size=(20_000, 4)).astype(np.float32)
    check(form.infer("scaled", {"inputs": x})["output_0"], exports.scaled_answer(x, 3))


def test_bytes_that_are_no_text(server, channel):
    from tests.integration.v2.conftest import make_form

    x = strings([b"\xff\x00", b"", "ü".encode()])
    for name in ("rest-binary", "grpc-raw", "grpc-typed"):
        answer = make_form(name, server, channel).infer("every_dtype", {"x": x}, signature="string")
        assert answer["y"].tolist() == x.tolist()
    tensor = {"name": "x", "datatype": "BYTES", "shape": [3]}
    tensor["parameters"] = {"binary_data_size": len(raw(x))}
    head = {"parameters": {"signature_name": "string"}, "inputs": [tensor]}
    with pytest.raises(Refused, match=r"bytes that aren't UTF-8.*binary_data"):
        Rest(server, binary=True).post("/v2/models/every_dtype/infer", head, [raw(x)])


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int64", "string", "bool"])
def test_long_json_is_read_in_pieces(server, dtype, nested):
    shape = (30_000, 5)
    x = saved_models.random(dtype, shape)
    if dtype == "string":
        x[0, 0] = b"s" * 400_000  # longer than a piece
    data = [v.decode() for v in x.ravel()] if dtype == "string" else x.ravel().tolist()
    if nested:
        data = [data[start : start + 5] for start in range(0, len(data), 5)]
    path = "/v2/models/every_dtype/infer"
    tensor = {"name": "x", "datatype": DATATYPES[x.dtype.name], "shape": shape, "data": data}
    head = {"inputs": [tensor], "parameters": {"signature_name": dtype}, "id": "7"}
    rest = Rest(server, binary=False)
    answer = rest.post(path, head)
    assert answer.id == "7"
    assert answer["y"].tolist() == x.tolist()
    for wrong in ([30_000, 4], [30_000, 6], [1 << 29, 3], [150_001], [10**8]):
        tensor["shape"] = wrong
        with pytest.raises(Refused) as caught:
            rest.post(path, head)
        assert (caught.value.code, "input x: " in caught.value.message) == (
            "INVALID_ARGUMENT", True,
        )  # fmt: skip
    tensor["shape"] = shape
    data[-1] = [{}] if not nested else [data[0][0]] * 4 + [{}]
    with pytest.raises(Refused, match=r"takes \w+( or \w+)?, not (object|list)"):
        rest.post(path, head)


def test_long_json_of_one_long_row(server):
    x = np.arange(200_000, dtype=np.float32).reshape(1, 2, 100_000)
    tensor = {"name": "x", "datatype": "FP32", "shape": x.shape, "data": x.tolist()}
    rest = Rest(server, binary=False)
    answer = rest.post("/v2/models/every_dtype/infer", {"inputs": [tensor]})
    np.testing.assert_array_equal(answer["y"], x)
    for shape in ([1, 2, 99_999], [1, 1, 200_000], [2, 2, 50_000]):
        with pytest.raises(Refused, match="input x: data"):
            rest.post("/v2/models/every_dtype/infer", {"inputs": [tensor | {"shape": shape}]})


def test_long_documents_that_are_no_json(server):
    text = b'{"inputs": [{"name": "inputs", "datatype": "FP32", "shape": [250000, 4], "data": ['
    body = text + b"1," * 1_000_000
    for end in (b"", b"1]", b"x]}]}", b"1}]}"):
        status, _, found = server.rest(INFER, body + end)
        assert (status, list(json.loads(found))) == (400, ["error"])
