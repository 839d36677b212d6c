"""Arrays to and from the Open Inference Protocol's raw form: bytes in row-major order.

Numbers are little-endian in their native size, BOOL is a byte of 0 or 1, and each element of BYTES
stands behind its length in four bytes. Source: triton-inference-server/server,
docs/protocol/extension_binary_data.md; gRPC's raw contents are the same.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from wire import dtypes
from wire.tensors import TensorError

_LENGTH = struct.Struct("<I")
_MAX_LENGTH = 2**32 - 1


def to_array(data: bytes | memoryview, dtype_name: str, shape: Sequence[int]) -> np.ndarray:
    """Returns an array of the shape that views the bytes, read-only; strings are copied.

    Args:
        data: The raw form.
        dtype_name: As in `wire.dtypes`, such as `"float32"` or `"string"`.
        shape: Sizes that aren't negative.

    Raises:
        TensorError: the bytes aren't those of such a tensor. Nothing is allocated before the number
            of elements is known to fit.
    """
    count = math.prod(shape)
    if dtype_name == "string":
        return _strings(data, count).reshape(shape)
    dtype = dtypes.numpy_dtype(dtype_name)
    if len(data) != count * dtype.itemsize:
        raise TensorError(
            f"{len(data)} bytes; shape {list(shape)} of {dtype_name} needs {count * dtype.itemsize}"
        )
    if dtype == np.bool_ and count and np.frombuffer(data, np.uint8).max() > 1:
        raise TensorError("a byte of a BOOL tensor is neither 0 nor 1")
    return np.frombuffer(data, dtype).reshape(shape)


def from_array(array: np.ndarray) -> bytes:
    """Returns the raw form of an array: any numeric dtype, or strings (bytes or str).

    Raises:
        ValueError: a string is longer than its length can say.
    """
    if array.dtype.kind not in "OSU":
        return array.astype(array.dtype.newbyteorder("="), copy=False).tobytes()
    pieces: list[bytes] = []
    for value in array.ravel().tolist():
        element = value if isinstance(value, bytes) else str(value).encode()
        if len(element) > _MAX_LENGTH:
            raise ValueError(f"a string of {len(element)} bytes can't be sent")
        pieces += (_LENGTH.pack(len(element)), element)
    return b"".join(pieces)


def _strings(data: bytes | memoryview, count: int) -> np.ndarray:
    size = len(data)
    if count * _LENGTH.size > size:
        raise TensorError(f"{size} bytes are too few for {count} strings and their lengths")
    values = np.empty(count, object)
    position = 0
    for index in range(count):
        start = position + _LENGTH.size
        if start > size:
            raise TensorError(f"the bytes end in the length of string {index} of {count}")
        position = start + _LENGTH.unpack_from(data, position)[0]
        if position > size:
            raise TensorError(f"the bytes end within string {index} of {count}")
        values[index] = bytes(data[start:position])
    if position != size:
        raise TensorError(f"{size - position} bytes follow the last of {count} strings")
    return values
