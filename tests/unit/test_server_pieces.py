"""Long documents, read in pieces, against the same documents read as a whole."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.api.tfs_rest import cutting, document, examples, numbers, pieces, tensors
from server.engines.signatures import ModelSignature, TensorInfo
from server.errors import ServingError
from wire import dtypes

PARSE_ERROR = "JSON Parse error"


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


def outcome(parse, body, wanted):
    """What a request comes to: its tensors, or the text of its error."""
    try:
        inputs, is_row = tensors.predict_inputs(parse(body), wanted)
    except ServingError as error:
        return error.message
    return is_row, {name: (a.dtype, a.shape, a.ravel().tolist()) for name, a in inputs.items()}


def whole(body):
    return numbers.parse(body) or document.parse(body)


STRINGS = st.sampled_from(["a", "long " * 9, '\\"[', "]}", '"', "\\", "\\\\", "é,{", ""])
BASE64 = st.integers(0, 9).map(lambda n: {"b64": "QUJD" * n})
SCALARS = st.sampled_from([1, -5, 2.5, 1e10, 0.1]) | STRINGS | BASE64 | st.booleans() | st.none()
ANY = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=12,
)


@st.composite
def tensor(draw, rows):
    """Nested lists of one kind and shape, some rows of them."""
    kinds = [st.integers(-9, 9), st.floats(allow_nan=False, width=32), STRINGS, st.booleans()]
    kind = draw(st.sampled_from(kinds))
    shape = draw(st.lists(st.integers(1, 3), max_size=2))

    def fill(axes):
        return [fill(axes[1:]) for _ in range(axes[0])] if axes else draw(kind)

    return [fill(shape) for _ in range(rows)]


@st.composite
def bodies(draw):
    rows = draw(st.integers(0, 8))
    x, y = draw(tensor(rows)), draw(tensor(rows))
    content = draw(
        st.sampled_from(
            [
                {"instances": x},
                {"inputs": x},
                {"instances": [{"x": a, "y": b} for a, b in zip(x, y, strict=True)]},
                {"inputs": {"x": x, "y": y}},
            ]
        )
        | st.dictionaries(st.sampled_from(["instances", "inputs"]), ANY, min_size=1)
    )
    before = draw(st.dictionaries(st.sampled_from("ab"), ANY, max_size=1))
    after = draw(st.dictionaries(st.sampled_from(["c", "signature_name"]), STRINGS, max_size=1))
    text = json.dumps(before | content | after, indent=draw(st.sampled_from([None, 1])))
    return text.encode()


SIGNATURES = st.sampled_from(["float32", "int32", "string", "bool"]).flatmap(
    lambda dtype: st.sampled_from([signature(x=dtype), signature(x=dtype, y="float32")])
)


@settings(max_examples=200, deadline=None)
@given(body=bodies(), wanted=SIGNATURES, block=st.sampled_from([3, 5, 8, 16, 40]))
def test_any_document_comes_to_the_same(body, wanted, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BLOCK", block)
        assert outcome(pieces.read, body, wanted) == outcome(whole, body, wanted)


@settings(max_examples=200, deadline=None)
@given(
    body=bodies(),
    wanted=SIGNATURES,
    block=st.sampled_from([3, 8, 40]),
    at=st.integers(0, 200),
    damage=st.sampled_from(["", "]", "[", "{", "}", ",", '"', "\\", "1", " "]),
    cut=st.integers(0, 1),
)
def test_what_is_no_json_is_refused(body, wanted, block, at, damage, cut):
    """In other words now and then, and where nobody looks, under an unused key, not at all."""
    at %= len(body)
    body = body[:at] + damage.encode() + body[at + cut :]
    expected = outcome(whole, body, wanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BLOCK", block)
        found = outcome(pieces.read, body, wanted)
    if not str(expected).startswith(PARSE_ERROR):
        assert found == expected
    elif not isinstance(found, str):
        assert any(
            f'"{name}"'.encode() in body for name in ("a", "b", "c", "x", "y", "signature_name")
        )


ROWS = 60_000  # of about 18 bytes: some blocks


@pytest.mark.parametrize(
    "row", ["[1, -2.5, 3e4]", '{"x": [1, 2, 3]}', "[NaN, 1, -Infinity]", '{"x" :[0.5, 1, 2]}', "7"]
)
@pytest.mark.parametrize("form", ['{"instances": [%s]}', '{"inputs": [%s]}'])
def test_long_documents_come_to_the_same(row, form):
    body = (form % ", ".join([row] * ROWS)).encode()
    assert len(body) > 2 * cutting.BLOCK or row == "7"
    wanted = signature(x="float32")
    found, expected = outcome(pieces.read, body, wanted), outcome(whole, body, wanted)
    assert repr(found) == repr(expected)


def test_one_long_row_and_one_long_string_are_read():
    array = np.random.default_rng(0).random((1, 300, 500), np.float32)
    body = json.dumps({"instances": array.tolist()}).encode()
    assert len(body) > pieces.LONG
    inputs, _ = tensors.predict_inputs(pieces.read(body), signature(x="float32"))
    np.testing.assert_array_equal(inputs["x"], array)
    text = "é\n" * 300_000
    for value, content in ((text, text.encode()), ({"b64": "QUJD" * 300_000}, b"ABC" * 300_000)):
        body = json.dumps({"instances": [value, "b"]}).encode()
        inputs, _ = tensors.predict_inputs(pieces.read(body), signature(x="string"))
        assert inputs["x"].tolist() == [content, b"b"]
        body = json.dumps({"inputs": value}).encode()
        inputs, _ = tensors.predict_inputs(pieces.read(body), signature(x="string"))
        assert inputs["x"][()] == content


def test_long_examples_are_read():
    rows = [{"x": [1.5, 2.0], "n": i, "t": "text " * 3} for i in range(20_000)]
    body = json.dumps({"context": {"c": 1}, "examples": rows}).encode()
    assert len(body) > pieces.LONG
    assert examples.read(pieces.read(body)) == examples.read(document.parse(body))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[],", "Expecting tensor size: 0 but got: 1"),
        ("[1],[2,3],", "Expecting tensor size: 1 but got: 2"),
        ('"a",', 'JSON Value: "a" Type: String is not of expected type: float'),
        ("null,", "JSON Value: null Type: Null is not of expected type: float"),
        ('{"y": 1},', "keys must be equal to: x"),
        ("[" * 65 + "]" * 65 + ",", "nested lists; a tensor has at most as many"),
    ],
)
def test_long_documents_are_refused_in_the_official_words(content, message):
    body = f'{{"instances": [{content * (600_000 // len(content))}1]}}'.encode()
    assert len(body) > pieces.LONG
    assert message in outcome(pieces.read, body, signature(x="float32"))


def read_float32(root):
    return tensors.predict_inputs(root, signature(x="float32"))


@pytest.mark.parametrize("form", ['{"instances": [%s]}', '{"inputs": %s}', '{"examples": [%s]}'])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"x":', "}"), ("[ ", "]")])
def test_long_nesting_is_refused_at_once(form, opening, closing):
    count = 2 * pieces.LONG // len(opening)
    body = (form % f"{opening * count}1{closing * count}").encode()
    root = pieces.read(body)
    read = examples.read if "examples" in root else read_float32
    with pytest.raises(ServingError):
        read(root)


def test_a_tensor_has_so_many_strings(monkeypatch):
    monkeypatch.setattr("server.api.tfs_rest.dense.MAX_STRINGS", 100_000)
    body = ('{"instances": [' + ", ".join(['"abc"'] * 200_000) + "]}").encode()
    with pytest.raises(ServingError, match="may have up to 100000 strings"):
        tensors.predict_inputs(pieces.read(body), signature(x="string"))
