"""A PredictRequest without protobuf: tensors as views of the message's bytes.

For the form in which clients write it, each field once and in order. protobuf reads all others. It
would copy the numbers twice, and keep Python's lock for a tenth of a second with 100 MB of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from wire import fields
from wire import serving_pb2 as pb

# Fields of TensorProto that are viewed, by number (source: tensorflow/core/framework/tensor.proto).
_CONTENT = 4
_PACKED = {5: "float_val", 6: "double_val", 9: "scomplex_val", 12: "dcomplex_val"}
_VIEWED_NAMES = frozenset(_PACKED.values())
_KEY = _MODEL_SPEC = 1
_VALUE = _INPUTS = 2
_OUTPUT_FILTER = 3
_MAX_FIELDS = 64  # of a message; more of them would take a while
_MAX_SMALL_BYTES = 4096  # what isn't viewed goes through protobuf


class Tensor:
    """A TensorProto whose numbers are views; all else is the message's, and so are its names.

    Attributes:
        tensor_content: Numbers as they stand in the message.
    """

    __slots__ = ("_message", "_packed", "tensor_content")

    def __init__(
        self, message: pb.TensorProto, content: memoryview, packed: Mapping[str, memoryview]
    ) -> None:
        self._message = message
        self._packed = packed
        self.tensor_content = content

    def __getattr__(self, name: str) -> Any:
        if name in _VIEWED_NAMES:
            return (self._packed.get(name, b""),)
        return getattr(self._message, name)


class PredictRequest:
    """What is asked of a message of this name, as far as the server asks it.

    Attributes:
        model_spec: Whom the request is for.
        inputs: Tensors by name, to be read with `tensors.to_array`.
        output_filter: Names of the outputs that are wanted; empty: all.
    """

    __slots__ = ("_has_spec", "_size", "inputs", "model_spec", "output_filter")

    def __init__(self, rest: pb.PredictRequest, inputs: Mapping[str, Tensor], size: int) -> None:
        self._has_spec = rest.HasField("model_spec")
        self._size = size
        self.inputs = inputs
        self.model_spec = rest.model_spec
        self.output_filter = rest.output_filter

    def HasField(self, name: str) -> bool:
        """Tells whether there is a `model_spec`, the only field that may be asked for."""
        assert name == "model_spec"
        return self._has_spec

    def ByteSize(self) -> int:
        """Returns how long the message was."""
        return self._size


def view(data: bytes) -> PredictRequest | None:
    """Returns a request as views of its bytes; None for one that protobuf must read.

    What it returns, `tensors.to_array` reads as it reads what protobuf would have returned.
    """
    try:
        return _request(data)
    except (DecodeError, UnicodeDecodeError):
        return None  # to hear it from protobuf, which knows best


def _request(data: bytes) -> PredictRequest | None:
    whole = memoryview(data)
    inputs: dict[str, Tensor] = {}
    small: list[memoryview] = []
    small_bytes = position = count = 0
    end = len(data)
    while position < end:
        begin = position
        number, kind, start, position = fields.field(data, begin, end)
        count += 1
        if kind != fields.BYTES or count > _MAX_FIELDS:
            return None
        if number == _INPUTS:
            entry = _entry(whole, data, start, position)
            if entry is None or entry[0] in inputs:
                return None
            inputs[entry[0]] = entry[1]
            continue
        small_bytes += position - begin
        if number not in (_MODEL_SPEC, _OUTPUT_FILTER) or small_bytes > _MAX_SMALL_BYTES:
            return None
        small.append(whole[begin:position])
    return PredictRequest(pb.PredictRequest.FromString(b"".join(small)), inputs, end)


def _entry(whole: memoryview, data: bytes, position: int, end: int) -> tuple[str, Tensor] | None:
    number, kind, start, position = fields.field(data, position, end)
    if number != _KEY or kind != fields.BYTES or position - start > _MAX_SMALL_BYTES:
        return None
    name = data[start:position].decode()
    number, kind, start, position = fields.field(data, position, end)
    if number != _VALUE or kind != fields.BYTES or position != end:
        return None
    tensor = _tensor(whole, data, start, end)
    return None if tensor is None else (name, tensor)


def _tensor(whole: memoryview, data: bytes, position: int, end: int) -> Tensor | None:
    packed: dict[str, memoryview] = {}
    small: list[memoryview] = []
    content = whole[:0]
    small_bytes = 0
    previous = 0
    while position < end:
        begin = position
        number, kind, start, position = fields.field(data, begin, end)
        if number <= previous:  # twice, or out of order
            return None
        previous = number
        is_viewed = number == _CONTENT or number in _PACKED
        if kind != fields.BYTES:
            if is_viewed or kind == fields.START_GROUP:
                return None
        elif number == _CONTENT:
            content = whole[start:position]
            continue
        elif is_viewed:
            packed[_PACKED[number]] = whole[start:position]
            continue
        small_bytes += position - begin
        if small_bytes > _MAX_SMALL_BYTES:
            return None
        small.append(whole[begin:position])
    return Tensor(pb.TensorProto.FromString(b"".join(small)), content, packed)
