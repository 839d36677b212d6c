"""TensorProto to NumPy array and back, viewing the numbers' bytes where the wire allows it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

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
_MAX_RANK = 64  # NumPy's; TensorFlow's is 254
# A few bytes may ask for any shape to be filled; this is as much as they get, and so many times
# what they are.
_MAX_FILLED_BYTES = 2**20
_MAX_FILLED_RATIO = 16
# Entries that a tensor without values may have along all axes but the empty ones.
_MAX_EMPTY = 2**20
_BLOCK = 2**16  # values that are converted at a time: a call in C keeps all other threads waiting


class TensorError(ValueError):
    """A TensorProto that doesn't describe a tensor."""


def shape_of(proto: TensorShapeProto) -> tuple[int, ...]:
    """Returns the dimensions, -1 for an unknown one."""
    return tuple([dim.size for dim in proto.dim])


def to_array(proto: TensorProto) -> np.ndarray:
    """Converts a TensorProto to an array of its shape and dtype.

    Numbers in `tensor_content` or in packed float fields are viewed, not copied: such an array is
    read-only. Strings come as an object array of bytes. As in TensorFlow (framework/tensor.cc,
    FromProto), a value field with fewer values than elements is filled up with its last value, one
    with more is cut off, and an unknown rank counts as none.

    Raises:
        TensorError: unknown dtype, a negative or too large shape, content of another size, or far
            too few values.
    """
    try:
        name = dtypes.name(proto.dtype)
    except ValueError as error:
        raise TensorError(str(error)) from None
    shape = shape_of(proto.tensor_shape)
    count = count_of(shape)
    if not count:
        return np.empty(shape, dtypes.numpy_dtype(name))
    if name == "string":
        values = _strings(proto, count)
    elif content := proto.tensor_content:
        return _from_content(content, dtypes.numpy_dtype(name), shape, count)
    else:
        values = _values(proto, name, count)
    if values.size == count:
        return values.reshape(shape)
    return _fill(values, shape, count)


def count_of(shape: tuple[int, ...]) -> int:
    """Returns how many elements a tensor of a shape has.

    Raises:
        TensorError: no tensor has such a shape here.
    """
    if not shape:
        return 1
    if min(shape) < 0:
        raise TensorError(f"negative dimension in shape {_text(shape)}")
    if len(shape) > _MAX_RANK:
        raise TensorError(f"a shape of {len(shape)} dimensions; {_MAX_RANK} are the most")
    count = math.prod(shape)
    if count > _MAX_ELEMENTS:
        raise TensorError(f"shape {_text(shape)} has too many elements")
    if not count and math.prod(filter(None, shape)) > _MAX_EMPTY:
        raise TensorError(f"shape {_text(shape)} has more entries than it has values for")
    return count


def from_array(array: np.ndarray, *, as_content: bool = False) -> TensorProto:
    """Converts an array to a TensorProto.

    Args:
        array: Any numeric dtype, or strings: objects (bytes or str), `S` or `U`.
        as_content: Write numbers to `tensor_content` rather than into the typed `*_val` field.

    Raises:
        ValueError: the dtype has no counterpart in TensorFlow.
    """
    proto = TensorProto()
    write(array, proto, as_content=as_content)
    return proto


def write(array: np.ndarray, proto: TensorProto, *, as_content: bool = False) -> None:
    """Writes an array into an empty TensorProto, as `from_array` does.

    Raises:
        ValueError: as `from_array`.
    """
    name = dtypes.array_name(array.dtype)
    proto.dtype = dtypes.number(name)
    proto.tensor_shape.SetInParent()  # a scalar's shape is there, too
    shape = proto.tensor_shape.dim
    for size in array.shape:
        shape.add(size=size)
    if name == "string":
        for block in blocks(array):
            proto.string_val.extend(
                v if isinstance(v, bytes) else str(v).encode() for v in block.tolist()
            )
    elif as_content:
        proto.tensor_content = array.tobytes()
    elif name in _PACKED_FIELDS:
        field, _ = _PACKED_FIELDS[name]
        if array.size:
            getattr(proto, field).append(array.tobytes())
    elif name in _HALF_DTYPES:
        for block in blocks(np.ascontiguousarray(array)):
            proto.half_val.extend(block.view(np.uint16).tolist())
    else:
        field = getattr(proto, _NUMBER_FIELDS[name])
        for block in blocks(array):
            field.extend(block.tolist())


def blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Returns an array's values in turn, as many as are to be converted at a time."""
    flat = array.ravel()
    if flat.size <= _BLOCK:
        yield flat
        return
    for start in range(0, flat.size, _BLOCK):
        yield flat[start : start + _BLOCK]


def _strings(proto: TensorProto, count: int) -> np.ndarray:
    found = proto.string_val
    values = np.empty(min(len(found), count), object)
    for start in range(0, values.size, _BLOCK):
        stop = min(start + _BLOCK, values.size)
        values[start:stop] = found[start:stop]
    return values


def _from_content(
    content: bytes, dtype: np.dtype, shape: tuple[int, ...], count: int
) -> np.ndarray:
    if len(content) != count * dtype.itemsize:
        raise TensorError(
            f"tensor_content has {len(content)} bytes; shape {_text(shape)} of {dtype.name} "
            f"needs {count * dtype.itemsize}"
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _values(proto: TensorProto, name: str, count: int) -> np.ndarray:
    """Returns the values of a typed field, up to a number of them."""
    dtype = dtypes.numpy_dtype(name)
    if name in _PACKED_FIELDS:
        field, wire_dtype = _PACKED_FIELDS[name]
        payload = packed.read(proto, field)
        if len(payload) % dtype.itemsize:
            raise TensorError(f"{field} holds {len(payload)} bytes, no whole number of {name}")
        return np.frombuffer(payload, wire_dtype)[:count]
    if name in _HALF_DTYPES:
        return numbers(proto.half_val, np.dtype(np.int64), count).astype(np.uint16).view(dtype)
    values = getattr(proto, _NUMBER_FIELDS[name])
    if dtype.itemsize < 4:  # int_val carries 32 bits: keep the low ones, as TensorFlow does
        return numbers(values, np.dtype(np.int64), count).astype(dtype)
    return numbers(values, dtype, count)


def numbers(values: Any, dtype: np.dtype, count: int) -> np.ndarray:
    """Returns the values of a repeated field, up to a number of them."""
    size = min(len(values), count)
    if size <= _BLOCK:
        return np.fromiter(values, dtype, size)
    found = np.empty(size, dtype)
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        found[start:stop] = values[start:stop]
    return found


def _fill(values: np.ndarray, shape: tuple[int, ...], count: int) -> np.ndarray:
    limit = _MAX_FILLED_BYTES + _MAX_FILLED_RATIO * values.nbytes
    if count * values.dtype.itemsize > limit:
        raise TensorError(f"{values.size} values are too few for shape {_text(shape)}")
    empty = b"" if values.dtype == object else values.dtype.type(0)
    filler = values[-1] if values.size else empty
    filled = np.full(shape, filler, values.dtype)
    filled.ravel()[: values.size] = values
    return filled


def _text(shape: tuple[int, ...]) -> str:
    """Returns a shape for an error message, cut where it is long."""
    return f"[{', '.join(map(str, shape[:8]))}{', …' if len(shape) > 8 else ''}]"
