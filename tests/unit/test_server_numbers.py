"""The fast way for arrays of numbers against the plain one: same values, same errors."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from server.api.tfs_rest import document, numbers, tensors
from server.engines.signatures import ModelSignature, TensorInfo
from server.errors import ServingError
from wire import dtypes

DTYPES = ["float32", "float64", "float16", "bfloat16", "int8", "uint8", "int32", "int64", "uint64"]


def signature(dtype, names=("x",)):
    inputs = {name: TensorInfo(f"{name}:0", dtypes.number(dtype), None) for name in names}
    return ModelSignature("serving_default", inputs, {}, "")


def outcome(parse, body, wanted):
    """What a request comes to: its tensors, or the code and text of its error."""
    try:
        inputs, is_row = tensors.predict_inputs(parse(body), wanted)
    except ServingError as error:
        return error.code, error.message
    found = {name: (a.dtype.name, a.shape, a.tobytes()) for name, a in inputs.items()}
    return found, is_row


def quick(body):
    return numbers.parse(body) or document.parse(body)


def assert_same(body, wanted):
    assert outcome(quick, body, wanted) == outcome(document.parse, body, wanted)


def is_fast(body):
    return isinstance(numbers.parse(body), numbers.Envelope)


@settings(max_examples=300, deadline=None)
@given(
    array=npst.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.int32]),
        npst.array_shapes(min_dims=1, max_dims=5, min_side=1, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False},
    ),
    key=st.sampled_from(["instances", "inputs"]),
    dtype=st.sampled_from(DTYPES),
    indent=st.sampled_from([None, 1]),
    more=st.dictionaries(st.sampled_from(["signature_name", "a"]), st.sampled_from(["", "b"])),
)
def test_regular_arrays_are_fast_and_the_same(array, key, dtype, indent, more):
    body = json.dumps({**more, key: array.tolist()}, indent=indent).encode()
    assert is_fast(body)
    assert_same(body, signature(dtype))
    assert_same(body, signature(dtype, ("x", "y")))


PIECES = st.sampled_from(
    ["[", "]", "[[", "]]", "],[", ",", "1", "-0", "0", "2.5", "-1e3", "1E-2", " ", "\n", "01", "1.",
     ".5", "+1", "1 2", "NaN", "Infinity", "true", "null", '"a"', "{}", '{"x":1}', "1e400",
     "1e-400", "9223372036854775807", "9223372036854775808", "18446744073709551616", "16777217",
     "0.1", "123456789012345678901234567890.5", "\x00", "é"]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(
    pieces=st.lists(PIECES, max_size=14),
    around=st.sampled_from(
        ['{{"instances":{}}}', '{{"inputs":{}}}', '{{"inputs":{{"x":{}}}}}', '{{"instances":[{}]}}',
         '{{"instances":[{},[1,2]]}}', ' {{"signature_name":"","instances":[[{}]]}} ', "{}",
         '{{"instances":1,"instances":[{}]}}', '{{"instances":[{}],"instances":2}}',
         '{{"instances":[{}],"inputs":[1]}}', '{{"a":[{}],"instances":[1]}}',
         '{{"signature_name":3,"instances":[{}]}}', '{{"instances":[{}]}}]',
         '[{{"instances":[{}]}}',
         '{{"\\u0069nstances":[{}]}}', '{{"instances":"array 9c0e4f51","a":[{}]}}',
         '{{"instances":[{}],}}', '{{"instances" [{}]}}']
    ),
    dtype=st.sampled_from(DTYPES),
)  # fmt: skip
@example(["-0", ",", "1.5"], '{{"instances":[{}]}}', "float32")
@example(["[", "[", "]", "]"], '{{"instances":{}}}', "float32")
@example(["1", "[", ",", "2", "]"], '{{"instances":[{}]}}', "float32")
@example(["16777217"], '{{"instances":[{}]}}', "float32")
@example(["1e39"], '{{"instances":[{}]}}', "float32")
def test_any_text_comes_to_the_same(pieces, around, dtype):
    assert_same(around.format("".join(pieces)).encode(), signature(dtype))


@pytest.mark.parametrize(
    "text",
    ["[]", "[[]]", "[1,[2]]", "[[1],2]", "[[1,2],[3]]", "[1[,2]]", "[[1],[2],]", "[1 [2]]"]
    + ["[1NaN]", "[NaN1]", "[NaN 1]", "[-]", "[\x01]", "[NaN,\x01]"]
    + ["[true]", '["a"]', "[{}]", "[1][2]", "[" * 65 + "1" + "]" * 65],
)  # fmt: skip
def test_what_is_not_a_regular_array_is_left_to_the_plain_way(text):
    body = f'{{"instances":{text}}}'.encode()
    with contextlib.suppress(ServingError):
        assert not is_fast(body)
    assert_same(body, signature("float32"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"instances": [{"x": [1, 2], "y": 3}, {"x": [4, 5], "y": 6}]}', "xy"),
        ('{"instances": [{"y": 3.5,"x": [[1], [2]]},{"y": 4e1,"x": [[3], [4]]}]}', "xy"),
        ('{"instances": [{"x": 1}, {"x": NaN}, {"x": -Infinity}]}', "x"),
        ('{"instances": [NaN, 1, -NaN, Inf, -Inf, Infinity]}', "x"),
        ('{"inputs": {"x": [[1, 2]], "y": [0.5]}}', "xy"),
        ('{"inputs": {"x": [1, NaN]}, "signature_name": ""}', "x"),
        ('{"signature_name": "", "inputs": [[NaN], [2]]}', "x"),
    ],
)
@pytest.mark.parametrize("dtypes_", [("float32", "float32"), ("float32", "int32"), ("int64",) * 2])
def test_names_and_words_are_fast_and_the_same(text, names, dtypes_):
    body = text.encode()
    assert is_fast(body)
    inputs = {
        name: TensorInfo(f"{name}:0", dtypes.number(dtype), None)
        for name, dtype in zip("xy", dtypes_, strict=True)
    }
    assert_same(
        body, ModelSignature("serving_default", {name: inputs[name] for name in names}, {}, "")
    )
    assert_same(body, ModelSignature("serving_default", inputs, {}, ""))


NAMED = st.sampled_from(
    ['{"x":', '"y":', ',"y":', "}", "},", '{"y": 2, "x":', "1", "2.5", "[1]", "[1,2]", "[1.5]",
     "NaN", "-", ",", " ", '{"x": 1, "y": 2}', '{"x": 1, "y": 2},', '{"x": [1], "y": 0.5},', '"x',
     '{"x": 9007199254740993, "y": 1.5}', '"', "{", "[", "]", "\x10", ":"]
)  # fmt: skip


@pytest.mark.parametrize("rows", ['[{"x": 1}, {"x": 2}]', '[{"x": [1, 2]}]'])
def test_rows_that_are_named_are_no_columns(rows):
    body = f'{{"inputs": {rows}}}'.encode()
    assert not is_fast(body)
    assert_same(body, signature("float32"))
    _, message = outcome(quick, body, signature("float32"))
    assert message.endswith("Type: Object is not of expected type: float")


@settings(max_examples=500, deadline=None)
@given(
    pieces=st.lists(NAMED, max_size=10),
    around=st.sampled_from(['{{"instances":[{}]}}', '{{"inputs":{}}}', '{{"inputs":{{{}}}}}']),
    dtype=st.sampled_from(["float32", "int64"]),
)
@example(['{"x": 1, "y": 2},', '{"x": 1.5, "y": 2}'], '{{"instances":[{}]}}', "int64")
@example(['{"x": 9007199254740993, "y": 1.5}'], '{{"instances":[{}]}}', "int64")
@example(['{"x": 1, "y": 2},', '{"y": 2, "x":', "1", "}"], '{{"instances":[{}]}}', "float32")
def test_any_named_text_comes_to_the_same(pieces, around, dtype):
    assert_same(around.format("".join(pieces)).encode(), signature(dtype, ("x", "y")))


def test_an_image_takes_the_fast_way():
    x = np.random.default_rng(0).random((16, 28, 28, 1), np.float32)
    body = json.dumps({"instances": x.tolist()}).encode()
    assert is_fast(body)
    inputs, is_row = tensors.predict_inputs(numbers.parse(body), signature("float32"))
    assert is_row
    np.testing.assert_array_equal(inputs["x"], x)
