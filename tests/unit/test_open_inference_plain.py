"""Flat lists of plain numbers are read as the general way reads them, or left to it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.v2 import body, json_tensors, plain
from server.errors import ServingError
from wire.tensors import TensorError

DTYPES = ("float32", "float64", "float16", "int8", "int32", "int64", "uint8", "uint64", "bool")


def document(data, **more):
    return json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": data}],
                       **more}).encode()  # fmt: skip


def outcome(data, dtype, shape):
    """Returns an array's bits, or the error's text."""
    try:
        found = json_tensors.to_array(data, dtype, shape)
    except (TensorError, ServingError) as error:
        return str(error)
    assert found.dtype == np.dtype(dtype)
    return found.shape, found.tobytes()


VALUES = st.one_of(
    st.lists(st.integers(-300, 300), min_size=1, max_size=20),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20),
    st.lists(st.integers(-9, 9) | st.floats(-9, 9), min_size=1, max_size=9),
)


@given(VALUES, st.sampled_from(DTYPES), st.integers(0, 1))
def test_numbers_become_what_lists_become(values, dtype, missing):
    found = plain.parse(document(values))
    if any(isinstance(value, float) for value in values):
        assert found is None or found["inputs"][0]["data"].array.dtype == np.float64
    shape = [len(values) + missing]
    if found is not None:
        assert outcome(found["inputs"][0]["data"], dtype, shape) == outcome(values, dtype, shape)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nonsense",
        document([]),
        document([1, "2"]),
        document([[1, 2]]),
        document([True]),
        document([None]),
        document([1, {"a": 2}]),
        document([2**63]),
        document([float("nan")]),
        document([-float("inf")]),
        document([1], id='a "data": [2]'),
        document([1], id="\\"),
        document([1])[:-1],
        document([1]) + b"x",
        b'{"data": [1], "inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}',
        b'{"inputs": [{"parameters": {"data": [1]}, "name": "x"}]}',
        b'{"inputs": [{"name": "x", "data": [1 2]}]}',
        b'{"inputs": [{"name": "x", "data": [01]}]}',
        b'{"inputs": [{"name": "x", "data": [1,]}]}',
        b'{"inputs": [{"name": "x", "data": [1]}, {"name": "y", "data": [2]}]}',
        b'{"inputs": [{"name": "x", "data": [1], "data": [2]}]}',
    ],
)
def test_what_is_not_plain_is_left_to_the_general_way(text):
    assert plain.parse(text) is None


def test_a_plain_request_says_what_it_says_the_general_way():
    text = document([1.5, 2], id="seven", parameters={"signature_name": "other"},
                    outputs=[{"name": "y"}])  # fmt: skip
    quick, general = body.read_plain(text), body.read(text, None)
    assert quick is not None
    for name in ("id", "signature", "is_binary", "is_binary_by_default", "bare", "is_long"):
        assert getattr(quick, name) == getattr(general, name)
    ((one,), (other,)) = quick.inputs, general.inputs
    assert one[:3] == other[:3]
