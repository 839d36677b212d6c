"""Tensor data as JSON: a flat list in row-major order, or lists in lists of the tensor's shape.

Numbers are rounded to floating-point data types, FP16 and BF16 too, and beyond their range to
infinity; integers must be within theirs. Nothing else is taken for something that it isn't.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

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


def to_array(data: Any, dtype_name: str, shape: Sequence[int]) -> np.ndarray:
    """Returns the array of a shape and dtype that the data of an input hold.

    Raises:
        TensorError: they hold something else.
    """
    values = _flat(data, shape)
    dtype = dtypes.numpy_dtype(dtype_name)
    allowed = _TYPES.get(dtype.kind, _NUMBERS)
    for found in set(map(type, values)):
        if found not in allowed:
            wanted = " or ".join(_JSON_NAMES[kind] for kind in allowed)
            raise TensorError(f"{dtype_name} takes {wanted}, not {_JSON_NAMES[found]}")
    if dtype.kind == "O":
        array = np.empty(len(values), object)
        array[:] = [value.encode(errors="surrogatepass") for value in values]
        return array.reshape(shape)
    try:
        wide: np.ndarray = np.array(values, _WIDEST.get(dtype.kind, np.float64))
    except OverflowError:
        raise TensorError(f"a number is beyond the range of {dtype_name}") from None
    if dtype.kind in "iu" and wide.size:
        bounds = np.iinfo(dtype)
        if wide.min() < bounds.min or wide.max() > bounds.max:
            raise TensorError(f"a number is beyond the range of {dtype_name}")
    with np.errstate(over="ignore"):
        return wide.astype(dtype).reshape(shape)


def from_array(array: np.ndarray, name: str) -> Any:
    """Returns what `orjson.dumps` renders as the data of an output, in one list.

    Raises:
        ServingError: INVALID_ARGUMENT, JSON can't carry them; binary data can.
    """
    if array.dtype.kind == "O":
        return [_text(value, name) for value in array.ravel().tolist()]
    if array.dtype.kind not in "biu" and array.dtype != np.float64:
        array = array.astype(np.float32, copy=False)
    flat = np.ascontiguousarray(array).ravel()
    if array.dtype.kind != "f" or np.isfinite(flat).all():
        return flat
    return orjson.Fragment(json.dumps(flat.tolist()))  # with bare NaN and Infinity, as Triton's


def _flat(data: Any, shape: Sequence[int]) -> list[Any]:
    """Returns the values of a list that is flat, or nested as the shape says."""
    if not isinstance(data, list):
        raise TensorError("data must be a list")
    count = math.prod(shape)
    if len(shape) > 1 and any(isinstance(value, list) for value in data[:1]):
        return _unnested(data, shape)
    if len(data) != count:
        raise TensorError(f"data have {len(data)} values; shape {list(shape)} needs {count}")
    return data


def _unnested(data: list[Any], shape: Sequence[int]) -> list[Any]:
    values = [data]
    for axis, size in enumerate(shape):
        if not all(isinstance(value, list) and len(value) == size for value in values):
            raise TensorError(
                f"data differ from shape {list(shape)} in axis {axis}, where lists of {size} belong"
            )
        values = list(chain.from_iterable(values))
    return values


def _text(value: bytes | str, name: str) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        raise invalid(
            f"output {name} holds bytes that aren't UTF-8, which JSON can't carry; ask for it with "
            '"parameters": {"binary_data": true}'
        ) from None
