"""TensorProto to NumPy array and back, viewing the numbers' bytes where the wire allows it."""

from __future__ import annotations

import math

import numpy as np

from wire import dtypes, packed
from wire.serving_pb2 import TensorProto, TensorShapeProto

# Where each dtype's values stand in TensorProto (source: tensorflow/core/framework/tensor.proto).
# Fields declared as bytes in serving.proto hold packed little-endian numbers of the given dtype.
_PACKED_FIELDS = {
    "float32": ("float_val", "<f4"),
    "float64": ("double_val", "<f8"),
    "complex64": ("scomplex_val", "<c8"),
    "complex128": ("dcomplex_val", "<c16"),
}
_NUMBER_FIELDS = {
    "int32": "int_val",
    "uint8": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}
_HALF_DTYPES = ("float16", "bfloat16")  # half_val holds their 16 bits
_MAX_ELEMENTS = 2**31 - 1
# A few bytes may ask for any shape to be filled; this is as much as they get.
_MAX_FILLED_BYTES = 2**28


class TensorError(ValueError):
    """A TensorProto that doesn't describe a tensor."""


def shape_of(proto: TensorShapeProto) -> tuple[int, ...]:
    """Returns the dimensions, -1 for an unknown one."""
    return tuple([dim.size for dim in proto.dim])


def to_array(proto: TensorProto) -> np.ndarray:
    """Converts a TensorProto to an array of its shape and dtype.

    Numbers in `tensor_content` or in packed float fields are viewed, not copied: such an array is
    read-only. Strings come as an object array of bytes. As in TensorFlow, a value field with
    fewer values than elements is filled up with its last value.

    Raises:
        TensorError: unknown dtype, a negative or too large shape, or values that don't fit it.
    """
    try:
        name = dtypes.name(proto.dtype)
    except ValueError as error:
        raise TensorError(str(error)) from None
    if proto.tensor_shape.unknown_rank:
        raise TensorError("a tensor's shape can't be of unknown rank")
    shape = shape_of(proto.tensor_shape)
    if shape and min(shape) < 0:
        raise TensorError(f"negative dimension in shape {list(shape)}")
    count = math.prod(shape)
    if count > _MAX_ELEMENTS:
        raise TensorError(f"shape {list(shape)} has too many elements")
    if name == "string":
        return _strings(proto, shape, count)
    if proto.tensor_content:
        return _from_content(proto.tensor_content, dtypes.numpy_dtype(name), shape, count)
    values = _values(proto, name)
    if values.size == count:
        return values.reshape(shape)
    return _fill(values, shape, count)


def from_array(array: np.ndarray, *, as_content: bool = False) -> TensorProto:
    """Converts an array to a TensorProto.

    Args:
        array: Any numeric dtype, or strings: objects (bytes or str), `S` or `U`.
        as_content: Write numbers to `tensor_content` rather than into the typed `*_val` field.

    Raises:
        ValueError: the dtype has no counterpart in TensorFlow.
    """
    name = dtypes.array_name(array.dtype)
    proto = TensorProto(dtype=dtypes.number(name))
    shape = proto.tensor_shape.dim
    for size in array.shape:
        shape.add(size=size)
    if name == "string":
        proto.string_val.extend(
            v if isinstance(v, bytes) else str(v).encode() for v in array.ravel().tolist()
        )
    elif as_content:
        proto.tensor_content = array.tobytes()
    elif name in _PACKED_FIELDS:
        field, _ = _PACKED_FIELDS[name]
        if array.size:
            getattr(proto, field).append(array.tobytes())
    elif name in _HALF_DTYPES:
        proto.half_val.extend(np.ascontiguousarray(array).view(np.uint16).ravel().tolist())
    else:
        getattr(proto, _NUMBER_FIELDS[name]).extend(array.ravel().tolist())
    return proto


def _strings(proto: TensorProto, shape: tuple[int, ...], count: int) -> np.ndarray:
    values = np.empty(len(proto.string_val), object)
    values[:] = proto.string_val
    return values.reshape(shape) if values.size == count else _fill(values, shape, count)


def _from_content(
    content: bytes, dtype: np.dtype, shape: tuple[int, ...], count: int
) -> np.ndarray:
    if len(content) != count * dtype.itemsize:
        raise TensorError(
            f"tensor_content has {len(content)} bytes; shape {list(shape)} of {dtype.name} "
            f"needs {count * dtype.itemsize}"
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _values(proto: TensorProto, name: str) -> np.ndarray:
    dtype = dtypes.numpy_dtype(name)
    if name in _PACKED_FIELDS:
        field, wire_dtype = _PACKED_FIELDS[name]
        numbers = packed.read(proto, field)
        if len(numbers) % dtype.itemsize:
            raise TensorError(f"{field} holds {len(numbers)} bytes, no whole number of {name}")
        return np.frombuffer(numbers, wire_dtype)
    if name in _HALF_DTYPES:
        bits = np.fromiter(proto.half_val, np.int64, len(proto.half_val))
        return bits.astype(np.uint16).view(dtype)
    values = getattr(proto, _NUMBER_FIELDS[name])
    if dtype.itemsize < 4:  # int_val carries 32 bits: keep the low ones, as TensorFlow does
        return np.fromiter(values, np.int64, len(values)).astype(dtype)
    return np.fromiter(values, dtype, len(values))


def _fill(values: np.ndarray, shape: tuple[int, ...], count: int) -> np.ndarray:
    if values.size > count:
        raise TensorError(f"{values.size} values don't fit shape {list(shape)}")
    if count * values.dtype.itemsize > _MAX_FILLED_BYTES:
        raise TensorError(f"{values.size} values are too few for shape {list(shape)}")
    empty = b"" if values.dtype == object else values.dtype.type(0)
    filler = values[-1] if values.size else empty
    filled = np.full(shape, filler, values.dtype)
    filled.ravel()[: values.size] = values
    return filled
