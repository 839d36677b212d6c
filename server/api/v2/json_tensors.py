"""Tensor data as JSON: a flat list in row-major order, or lists in lists.

Numbers are rounded to the data type, FP16 and BF16 too, and integers must be within its range.
Strings are text; bytes that aren't may come as TensorFlow Serving's `{"b64": …}`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from server.api.tfs_rest import dense
from server.api.v2.inputs import datatype_of
from server.engines.signatures import Tensor
from server.errors import invalid


def to_array(data: Any, tensor: Tensor, shape: Sequence[int]) -> np.ndarray:
    """Returns the array of a shape that the data of an input hold.

    Raises:
        ServingError: INVALID_ARGUMENT, they hold something else.
    """
    if not isinstance(data, list):
        raise invalid("data must be a list")
    array = dense.read(data, tensor)
    if array.shape != tuple(shape) and array.shape != (math.prod(shape),):
        raise invalid(
            f"data have the shape {list(array.shape)}; shape {list(shape)} needs the same, or "
            f"{math.prod(shape)} values in one list"
        )
    return array.reshape(shape)


def from_array(array: np.ndarray, name: str, tensor: Tensor) -> Any:
    """Returns what `orjson.dumps` renders as the data of an output, in one list.

    Raises:
        ServingError: INVALID_ARGUMENT, JSON can't carry them; binary data can.
    """
    if array.dtype.kind == "O":
        return [_text(value, name) for value in array.ravel().tolist()]
    if array.dtype.kind in "biu":
        return np.ascontiguousarray(array).ravel()
    if array.dtype.kind == "c":
        raise invalid(f"output {name} is {datatype_of(tensor)}, which this protocol can't carry")
    if array.dtype != np.float64:
        array = array.astype(np.float32, copy=False)
    flat = np.ascontiguousarray(array).ravel()
    if np.isfinite(flat).all():
        return flat
    return orjson.Fragment(json.dumps(flat.tolist()))  # with bare NaN and Infinity, as Triton's


def _text(value: bytes | str, name: str) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        raise invalid(
            f"output {name} holds bytes that aren't UTF-8, which JSON can't carry; ask for it with "
            '"parameters": {"binary_data": true}'
        ) from None
