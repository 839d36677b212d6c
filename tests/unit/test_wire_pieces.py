"""Messages read in pieces and as views, against protobuf's own reading of the same bytes."""

import struct

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wire import fields, pieces, predict_request, tensors
from wire import open_inference_pb2 as v2
from wire import serving_pb2 as wire

KINDS = [
    wire.PredictRequest, wire.ClassificationRequest, wire.MultiInferenceRequest,
    wire.ReloadConfigRequest, v2.ModelInferRequest,
]  # fmt: skip


def varint(value, length=1):
    """Returns an integer in at least so many bytes."""
    found = []
    while value >= 0x80 or len(found) + 1 < length:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field(number, content, length=1):
    """Returns a field of bytes, its length in at least so many bytes."""
    return varint(number << 3 | 2) + varint(len(content), length) + content


def group(number, content):
    return varint(number << 3 | 3) + content + varint(number << 3 | 4)


@pytest.fixture(params=[8, 40, 64 * 1024], ids=lambda size: f"{size} bytes")
def piece(request, monkeypatch):
    monkeypatch.setattr(pieces, "_PIECE", request.param)


def read(parse, *arguments):
    """Returns what was parsed, for comparison; None where it isn't a message."""
    try:
        found = parse(*arguments)
    except DecodeError:
        return None
    found.DiscardUnknownFields()  # long groups, which no known field is, are dropped
    return found.SerializeToString(deterministic=True)


def agree(kind, data):
    assert read(pieces.parse, kind, data) == read(kind.FromString, data)


# Tags, lengths and values as they may be, and as they may not.
numbers = st.integers(0, 20) | st.sampled_from([2047, 2048, 2**29 - 1, 2**29, 2**32])
leaves = st.one_of(
    st.binary(max_size=24),
    st.builds(lambda n, v, k: varint(n << 3) + varint(v, k), numbers,
              st.integers(0, 2**70), st.integers(1, 12)),
    st.builds(lambda n, v: varint(n << 3 | 5) + v, numbers, st.binary(min_size=3, max_size=4)),
    st.builds(lambda n, v: varint(n << 3 | 1) + v, numbers, st.binary(min_size=7, max_size=8)),
    st.builds(lambda n, k: varint(n << 3 | 7, k), numbers, st.integers(1, 12)),
)  # fmt: skip
messages = st.recursive(
    leaves,
    lambda inner: st.lists(
        st.one_of(
            inner,
            st.builds(field, st.integers(1, 17), inner, st.integers(1, 6)),
            st.builds(field, st.integers(1, 3), inner),
            st.builds(group, st.integers(1, 20), inner),
        ),
        max_size=6,
    ).map(b"".join),
    max_leaves=25,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=150, deadline=None)
@given(data=messages)
@example(data=b"")
@example(data=b"\x00\x00")
@example(data=b"\x80\x80\x80\x80\x80\x00")
@example(data=field(2, field(1, b"\xff") + field(2, b"")))
@example(data=field(2, field(1, b"x") + field(2, b"\x08\x01") + field(2, b"\x10\x03")))
@example(data=field(2, field(1, b"x") + field(2, b"\x08\x01")) * 2)
@example(data=field(2, b"") + field(1, field(2, b"\x08\x05") + field(4, b"label")))
@example(data=b"\x0a\x80\x80\x80\x80\x08")
def test_small_pieces_come_to_the_same(kind, data):
    with pytest.MonkeyPatch.context() as patch:
        for size in (8, 40):
            patch.setattr(pieces, "_PIECE", size)
            agree(kind, data)


@pytest.mark.parametrize("depth", [*range(90, 104), 2000])
def test_groups_in_groups_have_protobufs_limit(depth):
    data = b"\x9b\x06" * depth + b"\x9c\x06" * depth
    for kind in KINDS:
        agree(kind, data)
        agree(kind, data + field(1, b"x" * 100_000))


@pytest.mark.parametrize("name", ["int_val", "int64_val", "bool_val", "half_val", "uint64_val"])
def test_packed_numbers_may_be_cut_anywhere(name, piece):
    values = [0, 1, 127, 128, 1, 0] * 40 if name != "bool_val" else [True, False] * 99
    request = wire.PredictRequest()
    getattr(request.inputs["x"], name).extend(values)
    data = request.SerializeToString()
    agree(wire.PredictRequest, data)
    for end in range(len(data)):
        agree(wire.PredictRequest, data[:end])


def test_numbers_one_by_one_are_kept(piece):
    count = 20_000
    values = struct.pack(f"<{count}f", *range(count))
    sent = b"".join(b"\x2d" + values[at : at + 4] for at in range(0, len(values), 4))
    shape = field(2, field(2, b"\x08" + varint(count)))
    data = field(2, field(1, b"x") + field(2, b"\x08\x01" + shape + sent))
    found = pieces.parse(wire.PredictRequest, data)
    np.testing.assert_array_equal(tensors.to_array(found.inputs["x"]), np.arange(count))


def test_floats_of_examples_may_be_cut_anywhere(piece):
    request = wire.ClassificationRequest()
    example = request.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.extend(range(300))
    example.features.feature["y"].bytes_list.value.extend([b"", b"a" * 99, b"bc"])
    data = request.SerializeToString()
    agree(wire.ClassificationRequest, data)
    for end in range(0, len(data), 3):
        agree(wire.ClassificationRequest, data[:end])


def test_ever_so_many_tiny_fields_are_taken_together():
    tiny = {
        fields.VARINT: b"\x38\xff\x01", fields.FIXED32: b"\x2d\0\0\0\0",
        fields.FIXED64: b"\x31" + b"\0" * 8, fields.BYTES: b"\x42\x01x",
    }  # fmt: skip
    for kind, one in tiny.items():
        assert fields.field(one, 0, len(one))[1::2] == (kind, len(one))
        assert fields.run(one * 100, 0, len(one) * 100) == len(one) * 100
        assert fields.run(one * 100, 0, len(one) * 100 - 1) == len(one) * 99
        entry = field(1, b"x") + field(2, one * 50_000)
        agree(wire.PredictRequest, field(2, entry))
        agree(wire.PredictRequest, field(2, entry[:-1]))


@pytest.mark.parametrize("one", [b"\x38\x01", b"\x42\x00", field(8, b"x" * 40)], ids=len)
def test_no_piece_of_many_fields_is_long(one, monkeypatch):
    lengths = []
    monkeypatch.setattr(pieces, "_add", lambda *found: lengths.append(found[3] - found[2]))
    tensor = one * (2**20 // len(one))
    data = field(2, field(1, b"x") + field(2, tensor))
    pieces.parse(wire.PredictRequest, data)
    assert sum(lengths) == len(tensor)
    assert max(lengths) / len(one) < 50_000


def request_of(**arrays):
    request = wire.PredictRequest(output_filter=["y", "z"])
    request.model_spec.name = "m"
    request.model_spec.version.value = 3
    for name, array in arrays.items():
        tensors.write(array, request.inputs[name])
    return request


def same(found, expected):
    """Compares a view with protobuf's message, as the server reads them."""
    assert found.model_spec == expected.model_spec
    assert found.HasField("model_spec") == expected.HasField("model_spec")
    assert list(found.output_filter) == list(expected.output_filter)
    assert found.inputs.keys() == expected.inputs.keys()
    for name in expected.inputs:
        assert outcome(found.inputs[name]) == outcome(expected.inputs[name])


def outcome(proto):
    try:
        array = tensors.to_array(proto)
    except tensors.TensorError as error:
        return str(error)
    values = array.tolist() if array.dtype == object else array.tobytes()
    return array.dtype, array.shape, values


@pytest.mark.parametrize("as_content", [False, True], ids=["typed", "content"])
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "complex64", "complex128", "int32", "bool", "float16"]
)
def test_tensors_are_viewed(dtype, as_content):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    request = request_of()
    tensors.write(array, request.inputs["x"], as_content=as_content)
    data = request.SerializeToString()
    found = predict_request.view(data)
    same(found, request)
    assert found.ByteSize() == len(data)
    if as_content or dtype in ("float32", "float64", "complex64", "complex128"):
        viewed = tensors.to_array(found.inputs["x"])
        assert np.shares_memory(viewed, np.frombuffer(data, np.uint8))
        assert not viewed.flags.writeable


def test_numbers_at_odd_addresses_are_computed_with():
    starts = set()
    for length in range(1, 9):
        name = "x" * length
        array = np.arange(6, dtype=np.float64).reshape(2, 3)
        viewed = tensors.to_array(
            predict_request.view(request_of(**{name: array}).SerializeToString()).inputs[name]
        )
        starts.add(viewed.flags.aligned)
        np.testing.assert_array_equal(viewed * 2, array * 2)
    assert starts == {True, False}


FLOATS = field(5, struct.pack("<4f", 1, 2, 3, 4))
SHAPE = field(2, field(2, b"\x08\x02") * 2)
DTYPE = b"\x08\x01"


@pytest.mark.parametrize(
    ("what", "tensor"),
    [
        ("a value field twice", DTYPE + SHAPE + FLOATS + FLOATS),
        ("numbers one by one", DTYPE + SHAPE + b"\x2d\0\0\x80\x3f" * 4),
        ("a shape twice", DTYPE + SHAPE + SHAPE),
        ("out of order", FLOATS + DTYPE + SHAPE),
        ("a group", DTYPE + SHAPE + group(30, b"")),
        ("many strings", b"\x08\x07" + SHAPE + field(8, b"x") * 4),
        ("cut off", (DTYPE + SHAPE + FLOATS)[:-1]),
        ("an endless integer", b"\x08" + b"\xff" * 11 + SHAPE),
    ],
)
def test_other_forms_are_protobufs(what, tensor):
    assert predict_request.view(field(2, field(1, b"x") + field(2, tensor))) is None


def test_entries_in_other_forms_are_protobufs():
    value = field(2, DTYPE + SHAPE + FLOATS)
    entry = field(1, b"x") + value
    assert predict_request.view(field(2, entry)) is not None
    for other in (
        field(2, entry) * 2, field(2, value), field(2, value + field(1, b"x")),
        field(2, entry + value), field(2, field(1, b"\xff") + value), field(9, b""),
        b"\x12\xff\xff\xff\xff\x0f", field(2, entry)[:-1], field(3, b"\xff"), field(3, b"y") * 65,
    ):  # fmt: skip
        assert predict_request.view(other) is None


@settings(max_examples=250, deadline=None)
@given(
    tensor=st.lists(
        st.sampled_from([DTYPE, SHAPE, FLOATS, b"\x08\x02", b"\x18\x01", field(2, b"\x18\x01")])
        | st.builds(field, st.integers(4, 17), st.binary(max_size=24))
        | messages,
        max_size=5,
    ).map(b"".join),
    around=st.sampled_from([b"", field(1, field(1, b"m")), field(3, b"y"), field(1, b"") * 2]),
)
def test_what_is_viewed_is_what_protobuf_reads(tensor, around):
    data = around + field(2, field(1, b"x") + field(2, tensor))
    found = predict_request.view(data)
    if found is not None:
        same(found, wire.PredictRequest.FromString(data))
