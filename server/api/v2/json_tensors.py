"""Tensor data as JSON: a flat list in row-major order, or lists in lists of the tensor's shape.

Numbers are rounded to floating-point data types, FP16 and BF16 too, and beyond their range to
infinity; integers must be within theirs. Nothing else is taken for something that it isn't.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import orjson

from server.api.tfs_rest.numbers import Numbers
from server.api.tfs_rest.pieces import Span
from server.api.v2 import long_json
from server.errors import invalid
from wire import dtypes
from wire.tensors import TensorError

# By the dtype's kind: which types data may have, and the dtype that takes them all.
_TYPES: dict[str, tuple[type, ...]] = {"b": (bool,), "O": (str,), "i": (int,), "u": (int,)}
_WIDEST: dict[str, type] = {"b": np.bool_, "i": np.int64, "u": np.uint64}
_NUMBERS = (int, float)
_JSON_NAMES = {
    bool: "boolean", str: "string", int: "integer", float: "fraction", list: "list",
    dict: "object", type(None): "null",
}  # fmt: skip
_BLOCK = 2**14  # values that are rendered at a time: a call in C keeps all other threads waiting


def to_array(data: Any, dtype_name: str, shape: Sequence[int]) -> np.ndarray:
    """Returns the array of a shape and dtype that the data of an input hold.

    Args:
        data: A list, read or not; or numbers that were one.
        dtype_name: As in `wire.dtypes`.
        shape: Sizes that aren't negative.

    Raises:
        TensorError: they hold something else. ServingError: the document isn't JSON.
    """
    count = math.prod(shape)
    dtype = dtypes.numpy_dtype(dtype_name)
    if isinstance(data, Numbers):
        return _of_numbers(data.array, dtype, dtype_name, shape)
    if isinstance(data, list):
        return _converted(_flat(data, shape, count), dtype, dtype_name).reshape(shape)
    if not isinstance(data, Span) or not data.is_list:
        raise TensorError("data must be a list")
    if count > data.capacity:
        raise TensorError(f"data have fewer values than shape {list(shape)} needs")
    array = np.empty(count, dtype)
    start = 0
    for values in long_json.chunks(data, shape):
        if start + len(values) > count:
            raise TensorError(f"data have more values than the {count} of shape {list(shape)}")
        array[start : start + len(values)] = _converted(values, dtype, dtype_name)
        start += len(values)
    return array.reshape(shape)


def from_array(array: np.ndarray, name: str) -> orjson.Fragment:
    """Returns the data of an output for `orjson.dumps`, as one list.

    Raises:
        ServingError: INVALID_ARGUMENT, JSON can't carry them; binary data can.
    """
    if array.dtype.kind not in "biuO" and array.dtype != np.float64:
        array = array.astype(np.float32, copy=False)
    flat = np.ascontiguousarray(array).ravel()
    blocks = (flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK))
    return orjson.Fragment(b"[" + b",".join(_rendered(block, name) for block in blocks) + b"]")


def _converted(values: list[Any], dtype: np.dtype, dtype_name: str) -> np.ndarray:
    allowed = _TYPES.get(dtype.kind, _NUMBERS)
    for found in set(map(type, values)):
        if found not in allowed:
            wanted = " or ".join(_JSON_NAMES[kind] for kind in allowed)
            raise TensorError(f"{dtype_name} takes {wanted}, not {_JSON_NAMES.get(found, 'this')}")
    if dtype.kind == "O":
        array = np.empty(len(values), object)
        array[:] = [value.encode(errors="surrogatepass") for value in values]
        return array
    try:
        wide: np.ndarray = np.array(values, _WIDEST.get(dtype.kind, np.float64))
    except OverflowError:
        raise TensorError(f"a number is beyond the range of {dtype_name}") from None
    return _narrowed(wide, dtype, dtype_name)


def _of_numbers(
    array: np.ndarray, dtype: np.dtype, dtype_name: str, shape: Sequence[int]
) -> np.ndarray:
    """Converts a flat list of int64, or of float64."""
    if array.size != math.prod(shape):
        _flat(array.tolist(), shape, math.prod(shape))  # to hear what belongs there
    if dtype.kind in "bO" or (dtype.kind in "iu" and array.dtype.kind == "f"):
        return _converted(array.tolist(), dtype, dtype_name).reshape(shape)
    wide = array if dtype.kind in "iu" else array.astype(np.float64, copy=False)
    return _narrowed(wide, dtype, dtype_name).reshape(shape)


def _narrowed(wide: np.ndarray, dtype: np.dtype, dtype_name: str) -> np.ndarray:
    if dtype.kind in "iu" and wide.size:
        bounds = np.iinfo(dtype)
        if wide.min() < bounds.min or wide.max() > bounds.max:
            raise TensorError(f"a number is beyond the range of {dtype_name}")
    with np.errstate(over="ignore"):
        return wide.astype(dtype)


def _flat(data: list[Any], shape: Sequence[int], count: int) -> list[Any]:
    if len(shape) > 1 and any(isinstance(value, list) for value in data[:1]):
        return long_json.unnested(data, shape)
    if len(data) != count:
        raise TensorError(f"data have {len(data)} values; shape {list(shape)} needs {count}")
    return data


def _rendered(block: np.ndarray, name: str) -> bytes:
    """Renders values, without the brackets."""
    if block.dtype.kind == "O":
        return orjson.dumps(_texts(block.tolist(), name))[1:-1]
    if block.dtype.kind != "f" or np.isfinite(block).all():
        return orjson.dumps(block, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    return json.dumps(block.tolist()).encode()[1:-1]  # with bare NaN and Infinity, as Triton's


def _texts(values: Iterable[bytes | str], name: str) -> list[str]:
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError:
        raise invalid(
            f"output {name} holds bytes that aren't UTF-8, which JSON can't carry; ask for it with "
            '"parameters": {"binary_data": true}'
        ) from None
