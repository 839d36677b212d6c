"""JSON lists as one tensor, in TensorFlow Serving's rules.

Source: tensorflow_serving/util/json_tensor.cc. Lists of plain numbers are converted as a whole;
whatever isn't clear-cut there goes value by value, which also finds the official error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from server.api.tfs_rest import document, scalars
from server.engines.signatures import Tensor
from server.errors import ServingError, invalid
from wire import dtypes

MAX_RANK = 64  # NumPy's limit


def read(value: Any, tensor: Tensor) -> np.ndarray:
    """Returns a value, or lists of lists of them, with the tensor's dtype.

    Raises:
        ServingError: INVALID_ARGUMENT, a value or the lists' lengths don't fit; UNIMPLEMENTED,
            the dtype has no form in JSON.
    """
    array = numbers_of(value, tensor)
    if array is not None:
        return array
    dtype_name = scalars.dtype_name_of(tensor, value)
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    if len(shape) > MAX_RANK:
        raise too_deep(len(shape))
    values: list[Any] = []
    _fill(value, 0, shape, dtype_name, values)
    if dtype_name in scalars.INTEGERS:
        wide = np.uint64 if dtype_name == "uint64" else np.int64
        return np.array(values, wide).astype(dtypes.numpy_dtype(dtype_name)).reshape(shape)
    array = np.empty(len(values), dtypes.numpy_dtype(dtype_name))
    with np.errstate(over="ignore"):  # beyond float16 is infinite, as in TensorFlow
        array[:] = values
    return array.reshape(shape)


def _fill(value: Any, level: int, shape: list[int], dtype_name: str, into: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid(
                f"JSON Value: {document.text(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {rank}"
            )
        into.append(scalars.convert(value, dtype_name))
        return
    if level >= rank:
        raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, dtype_name, into)


def numbers_of(value: Any, tensor: Tensor) -> np.ndarray | None:
    """Converts a list of plain numbers as a whole; None where value by value is needed."""
    if not isinstance(value, list):
        return None
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return None
    if array.dtype.kind not in "if" or _has_bool(value):
        return None
    return of_dtype(array, tensor)


def of_dtype(array: np.ndarray, tensor: Tensor) -> np.ndarray | None:
    """Converts int64 or float64 numbers to a tensor's dtype; None if one may not fit."""
    try:
        name = dtypes.name(tensor.dtype)
    except ValueError:
        return None
    if name in scalars.FLOATS:
        limit = 2 ** scalars.FLOATS[name] - 1
        if array.size and not _is_within(array, limit):
            return None
        if name != "float16":
            return array.astype(dtypes.numpy_dtype(name))
        with np.errstate(over="ignore"):  # beyond float16 is infinite, as in TensorFlow
            return array.astype(np.float16)
    if name in scalars.INTEGERS and array.dtype.kind == "i":
        low, high = scalars.INTEGERS[name]
        if array.size and not (low <= int(array.min()) and int(array.max()) <= high):
            return None
        return array.astype(dtypes.numpy_dtype(name))
    return None


def _is_within(array: np.ndarray, limit: int) -> bool:
    """Tells whether all numbers are between -limit and limit; NaN is not."""
    lowest, highest = np.minimum.reduce(array, None), np.maximum.reduce(array, None)
    return bool(-limit <= lowest and highest <= limit)


def _has_bool(value: list[Any]) -> bool:
    """Tells whether a nested list of numbers holds True or False, which NumPy takes for 1 and 0."""
    if value and isinstance(value[0], list):
        return any(map(_has_bool, value))
    return bool in set(map(type, value))


def too_deep(rank: int) -> ServingError:
    """Returns the error for lists in lists that are no tensor."""
    return invalid(f"Encountered {rank} nested lists; a tensor has at most {MAX_RANK}")
