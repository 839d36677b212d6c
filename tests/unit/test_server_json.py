"""JSON in and out: syntax errors, conversions, number formats."""

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from server.api.tfs_rest import document, examples, numbers, printing, rendering, syntax, tensors
from server.engines.signatures import ModelSignature, TensorInfo
from server.errors import ServingError
from wire import dtypes
from wire import serving_pb2 as pb


def signature(**inputs):
    return ModelSignature(
        "serving_default",
        {
            name: TensorInfo(f"{name}:0", dtypes.number(dtype), None)
            for name, dtype in inputs.items()
        },
        {},
        "",
    )


def read(text, **inputs):
    found, _ = tensors.predict_inputs(document.parse(text.encode()), signature(**inputs))
    return found


def problem(text, **inputs):
    with pytest.raises(ServingError) as caught:
        read(text, **(inputs or {"x": "float32"}))
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" ", "The document is empty. at offset: 1"),
        ("{", "Missing a name for object member. at offset: 1"),
        ('{"a"', "Missing a colon after a name of object member. at offset: 4"),
        ('{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        ('{"a":', "Invalid value. at offset: 5"),
        ('{"a":1', "Missing a comma or '}' after an object member. at offset: 6"),
        ('{"a":1,', "Missing a name for object member. at offset: 7"),
        ('{"a":[1 2]}', "Missing a comma or ']' after an array element. at offset: 8"),
        ('{"a":[1,2,]}', "Invalid value. at offset: 10"),
        ('{"a":[01]}', "Missing a comma or ']' after an array element. at offset: 7"),
        ('{"a":tru}', "Invalid value. at offset: 8"),
        ('{"a":nul}', "Invalid value. at offset: 8"),
        ('{"a":-}', "Invalid value. at offset: 6"),
        ('{"a":1.}', "Miss fraction part in number. at offset: 7"),
        ('{"a":1e}', "Miss exponent in number. at offset: 7"),
        ('{"a":1e400}', "Number too big to be stored in double. at offset: 5"),
        ('{"a":[0,1e400]}', "Number too big to be stored in double. at offset: 8"),
        ('{"a":"', "Missing a closing quotation mark in string. at offset: 6"),
        ('{"a":"\\q"}', "Invalid escape character in string. at offset: 6"),
        ('{"a":"\\u12g4"}', "Incorrect hex digit after \\u escape in string. at offset: 6"),
        ('{"a":"\\ud800"}', "The surrogate pair in string is invalid. at offset: 6"),
        ('{"a":"\n"}', "Invalid escape character in string. at offset: 6"),
        ("]", "The document is empty. at offset: 0"),
        (":1", "The document is empty. at offset: 0"),
        ("'a'", "Invalid value. at offset: 0"),
        ('{"a":NaM}', "Invalid value. at offset: 7"),
    ],
)
def test_syntax_errors_are_rapidjsons(text, message):
    with pytest.raises(ServingError) as caught:
        document.parse(text.encode())
    assert caught.value.message == f"JSON Parse error: {message}"


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(-(2**63), 2**64 - 1),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=30,
    )
)
def test_any_document_of_json_is_read_as_it_was_written(value):
    body = json.dumps({"v": value}).encode()
    found = document.parse(body)["v"]
    assert syntax.check(body).end == len(body)
    assert repr(found) == repr(value) or json.dumps(found) == json.dumps(value)


@given(st.binary(max_size=60) | st.text('{}[]",:\\ue1-.0NaInf \n', max_size=30).map(str.encode))
def test_no_body_breaks_the_parser(body):
    with contextlib.suppress(ServingError):
        document.parse(body)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"x": NaN}', math.nan), ('{"x": -NaN}', math.nan), ('{"x": Inf}', math.inf),
        ('{"x": -Infinity}', -math.inf), ('{"x": "NaN Inf"}', "NaN Inf"), ('\ufeff{"x": 1}', 1),
        ('{"x": 1, "x": 2}', 1), ('{"x": 18446744073709551616}', 2.0**64),
    ],
)  # fmt: skip
def test_rapidjsons_liberties_are_taken(text, value):
    found = document.parse(text.encode())["x"]
    assert found == value or (math.isnan(found) and math.isnan(value))


def test_strings_that_arent_utf8_keep_their_bytes():
    body = b'{"instances": ["\xff\xfea"]}'
    found, _ = tensors.predict_inputs(document.parse(body), signature(x="string"))
    assert found["x"].tolist() == [b"\xff\xfea"]


def test_deep_nesting_is_refused_without_harm():
    for depth in (65, 100, 600, 100_000):
        body = '{"instances": ' + "[" * depth + "]" * depth + "}"
        assert problem(body).endswith("nested lists; a tensor has at most as many")
        body = body.replace("[]", "[NaN]", 1)
        assert problem(body).endswith("nested lists; a tensor has at most as many")


@pytest.mark.parametrize("depth", [10, 100, 5000])
def test_any_nesting_is_taken_under_a_key_that_is_not_used(depth):
    deep = "[" * depth + '{"b": ' * depth + "1" + "}" * depth + "]" * depth
    body = f'{{"a": {deep}, "instances": [1, 2], "c": {{"d": {deep}}}}}'
    assert read(body, x="float32")["x"].tolist() == [1, 2]


def test_what_follows_the_root_is_ignored():
    assert read('{"instances": [1]} x', x="float32")["x"].tolist() == [1]
    assert read('{"instances": [1]}}]"', x="float32")["x"].tolist() == [1]


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [
        ("16777217", "float32", 16777216.0), ("123456789", "float32", 123456792.0),
        ("1e300", "float32", math.inf), ("-1e39", "float32", -math.inf),
        ("9007199254740993", "float64", 9007199254740992.0),
        ("18446744073709551615", "float32", 2.0**64),
        ("3.40282347e+38", "float32", float(np.finfo(np.float32).max)),
        ("70000.0", "float16", math.inf), ("300", "uint8", 44), ("-1", "uint8", 255),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["[{}]", "[[{}, 1]]"])
def test_numbers_are_rounded(text, dtype, value, form):
    """By way of a double, as GetFloat does; narrow integers keep their low bits."""
    body = f'{{"instances": {form.format(text)}}}'
    for parsed in (document.parse(body.encode()), numbers.parse(body.encode())):
        if parsed is None:  # what isn't clear-cut
            continue
        found, _ = tensors.predict_inputs(parsed, signature(x=dtype))
        assert float(found["x"].ravel()[0]) == value


@pytest.mark.parametrize(
    ("text", "dtype"),
    [("2147483648", "int32"), ("1.0", "int32"), ("9223372036854775808", "int64"),
     ("-1", "uint64"), ("4294967296", "uint32"), ("-1", "uint32"), ("1e2", "int64")],
)  # fmt: skip
def test_integers_outside_an_integer_dtype_are_refused(text, dtype):
    assert problem(f'{{"instances": [{text}]}}', x=dtype).endswith(
        f"Type: Number is not of expected type: {dtype}"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [('"hello"', b"hello"), ('{"b64": "/w"}', b"\xff")],
)
def test_a_scalar_is_taken_in_columnar_form(text, value):
    array = read(f'{{"inputs": {text}}}', x="string")["x"]
    assert (array.shape, array.dtype, array[()]) == ((), object, value)
    named = read(f'{{"inputs": {{"x": {text}}}}}', x="string")["x"]
    assert (named.shape, named[()]) == ((), value)


def test_values_are_quoted_as_the_official_server_quotes_them():
    text = '{"a": [1, [2.50, "x\\n"]], "b": {"c": {}, "d": [{"e": null}, []]}, "f": 1e30}'
    assert printing.text(json.loads(text)) == (
        '{\n    "a": [1, [2.5, "x\\n"]],\n    "b": {\n        "c": {},\n        "d": [{\n'
        '                "e": null\n            }, []]\n    },\n    "f": 1e30\n}'
    )
    assert printing.text(list(range(1000))).startswith("[0, 1, 2,")
    assert 256 <= len(printing.text(list(range(1000)))) < 270
    assert printing.text([1.5, math.nan, 2]) == "[1.5, "
    assert printing.text("\x1f") == '"\\u001F"'


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (-0.0, "-0.0"), (1e-7, "1e-7"), (0.000015, "0.000015"), (1e21, "1e21"),
     (1e20, "100000000000000000000.0"), (123.25, "123.25"), (1.5e300, "1.5e300"),
     (3.4028234699999998e38, "3.40282347e38"), (-12.0, "-12.0")],
)  # fmt: skip
def test_doubles_are_quoted_as_rapidjson_writes_them(value, text):
    assert printing.text(value) == text


@settings(max_examples=100)
@given(
    st.sampled_from(
        ["float32", "float64", "int32", "int64", "uint32", "uint64", "uint8", "bool"]
    ).flatmap(
        lambda dtype: npst.arrays(
            dtype,
            npst.array_shapes(min_dims=1, max_dims=4, max_side=4),
            elements={"allow_subnormal": False} if "float" in dtype else None,
        )
    )
)
def test_tensors_survive_the_way_to_json_and_back(array):
    rows = rendering.predictions({"y": array}).replace(b'"predictions"', b'"instances"')
    columns = rendering.columns({"y": array}).replace(b'"outputs"', b'"inputs"')
    for body in (rows, columns):
        found, _ = tensors.predict_inputs(document.parse(body), signature(x=array.dtype.name))
        np.testing.assert_array_equal(found["x"], array)
        assert found["x"].dtype == array.dtype


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "0.2"), (1 / 3, "0.333333343"), (2.0, "2.0"), (1e6, "1e+06"),
        (1234567.0, "1234567.0"), (3e-5, "3e-05"), (math.nan, "NaN"),
        (math.inf, "Infinity"), (-math.inf, "-Infinity"),
        (-0.0, "-0.0"), (16777216.0, "16777216.0"), (123456.0, "123456.0"),
    ],
)  # fmt: skip
def test_float_numbers_are_written_as_serving_writes_them(value, text):
    body = rendering.columns({"y": np.float32(value)})
    assert body == f'{{\n    "outputs": {text}\n}}'.encode()


def test_double_numbers_have_all_digits():
    assert b" 0.33333333333333331\n" in rendering.columns({"y": np.float64(1 / 3)})


def test_values_that_dont_fit_are_refused_in_the_official_words():
    assert problem('{"instances": [1, true]}').endswith(
        "JSON Value: true Type: True is not of expected type: float"
    )
    assert problem('{"instances": [1, null]}').endswith(
        "JSON Value: null Type: Null is not of expected type: float"
    )
    assert problem('{"instances": [1.5]}', x="int32").endswith(
        "JSON Value: 1.5 Type: Number is not of expected type: int32"
    )
    assert problem('{"instances": [1]}', x="complex64").endswith(
        "UNIMPLEMENTED: Conversion of JSON Value: 1 to type: complex64"
    )
    assert problem('{"inputs": [[1, 2], [3]]}') == (
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2"
    )
    assert problem('{"inputs": [1, [2]]}') == (
        "Encountered list at unexpected level: 1 expected < 1"
    )
    assert problem('{"inputs": [[1], 2]}') == (
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"
    )
    assert problem('{"instances": [[1, 2], [3]]}') == (
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting tensor size: 2 but got: 1"
    )
    assert problem('{"instances": [[[1, 2]], [[1], [2]]]}') == (
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting shape [1,2] but got: [2,1]"
    )
    assert problem('{"instances": [{"b64": "?"}]}', x="string").endswith("Unable to base64 decode")


def test_objects_must_have_the_inputs_names():
    two = {"a": "float32", "b": "float32"}
    for row in ('{"a": 1}', '{"a": 1, "b": 2, "c": 3}', '{"c": 1}', '{"a": 1, "a": 2, "b": 3}'):
        assert problem(f'{{"instances": [{row}]}}', **two).endswith(" keys must be equal to: a,b")
    assert problem('{"instances": [{"a": 1, "b": 2}, {"b": 1}]}', **two) == (
        "Failed to process element: 1 of 'instances' list. "
        'JSON object: {\n    "b": 1\n} keys must be equal to: a,b'
    )
    assert problem('{"instances": [{"a": 1, "b": "x"}, {"a": []}]}', **two) == (
        "Failed to process element: 0 key: b of 'instances' list. Error: INVALID_ARGUMENT: "
        'JSON Value: "x" Type: String is not of expected type: float'
    )
    assert problem('{"instances": [1]}', **two).startswith("instances is a plain list")
    assert problem('{"inputs": [1]}', **two).startswith("inputs is a plain value/list")
    assert problem('{"inputs": {"a": 1}}', **two) == "Missing named input: b in 'inputs' object."
    assert problem('{"instances": [{"a": 1, "b": 2}, 3]}', **two) == (
        "Expecting object but got list at item 1 of input list"
    )
    assert problem('{"instances": [3, {"x": 3}]}') == (
        "Expecting value/list but got object at item 1 of input list"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"examples": 1}', "Expecting 'examples' value to be an list/array"),
        ('{"examples": []}', "'examples' value is an empty array"),
        ("{}", "When method is classify, key 'examples' is expected and was not found"),
        ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
        ('{"examples": [{"x": null}]}', "has element with unexpected JSON type: Null"),
        ('{"examples": [{"x": [1, 1.5]}]}', "in feature: x expecting type: int64"),
        ('{"examples": [{"x": 9223372036854775808}]}', "Only int64_t is supported."),
    ],
)
def test_examples_that_arent_any_are_refused(text, message):
    with pytest.raises(ServingError) as caught:
        examples.read(document.parse(text.encode()))
    assert message in caught.value.message


def test_examples_keep_kinds_and_context():
    example = '{"x": [1.5, 2.0], "n": [true, 3], "b": {"b64": "/w"}}'
    text = f'{{"context": {{"c": "é"}}, "examples": [{example}]}}'
    found = examples.read(document.parse(text.encode())).example_list_with_context
    assert found.context.features.feature["c"].bytes_list.value == ["é".encode()]
    features = found.examples[0].features.feature
    assert features["x"].float_list.value == [1.5, 2.0]
    assert features["n"].int64_list.value == [1, 3]
    assert features["b"].bytes_list.value == [b"\xff"]


def test_long_values_are_cut_in_error_texts():
    assert len(printing.text([[1] * 1000] * 1000)) < 5000
    assert len(printing.text("x" * 10**6)) < 5000


@pytest.mark.parametrize(
    "shape", [(5,), (3, 4), (1, 50), (7, 1, 3), (2, 30, 2), (9, 0), (0, 3), (60, 2)]
)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_long_answers_are_rendered_in_blocks(monkeypatch, shape, dtype):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    outputs = {"y": array}, {"y": array, "z_bytes": np.full((shape[0], 2), b"a", object)}
    expected = [(rendering.predictions(found), rendering.columns(found)) for found in outputs]
    monkeypatch.setattr(rendering, "LONG", 4)
    assert expected == [(rendering.predictions(o), rendering.columns(o)) for o in outputs]
    assert json.loads(expected[0][0])["predictions"] == array.tolist()


def test_results_are_rendered_in_blocks(monkeypatch):
    result = pb.RegressionResult(regressions=[{"value": value} for value in (0.5, 2.0, 0.1)])
    monkeypatch.setattr(rendering, "LONG", 2)
    assert rendering.regressions(result) == b'{\n    "results": [0.5, 2.0, 0.1]\n}'


def test_an_error_is_printed_as_the_official_server_prints_it():
    assert rendering.error('no "x"') == b'{\n    "error": "no \\"x\\""\n}'
