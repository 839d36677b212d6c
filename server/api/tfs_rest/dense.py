"""JSON lists as one tensor, in TensorFlow Serving's rules.

Source: tensorflow_serving/util/json_tensor.cc. Regular lists of one kind of value are converted as
a whole; whatever isn't clear-cut there goes value by value, which also finds the official error.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from server.api.tfs_rest import json_values, printing, scalars
from server.api.tfs_rest.document import MAX_RANK
from server.engines.signatures import TensorInfo
from server.errors import Code, ServingError, invalid
from wire import dtypes

MAX_STRINGS = 2**22  # of a tensor: each takes some fifty bytes besides its own
FEW = 16  # values or rows that are looked at one by one
_BOOL = dtypes.number("bool")
_NUMBERS = ({int}, {float}, {int, float})


def read(value: Any, tensor: TensorInfo) -> np.ndarray:
    """Returns a value, or lists of lists of them, with the tensor's dtype.

    Raises:
        ServingError: INVALID_ARGUMENT, a value or the lists' lengths don't fit; UNIMPLEMENTED,
            the dtype has no form in JSON.
    """
    if not isinstance(value, list) or not value:
        return slowly(value, shape_of(value), tensor)
    array = regular(value, tensor)
    return entries(value, shape_of(value)[1:], tensor) if array is None else array


def entries(
    values: list[Any], shape: Sequence[int], tensor: TensorInfo, level: int = 0
) -> np.ndarray:
    """Returns a list's values, all of one shape, as a tensor.

    Args:
        values: At least one.
        shape: Of each.
        tensor: Whose values these are.
        level: How many lists the list is in, for error texts.

    Raises:
        ServingError: as `read`.
    """
    array = regular(values, tensor)
    if array is not None and array.shape[1:] == tuple(shape):
        return array
    if len(values) <= FEW:
        return slowly(values, [len(values), *shape], tensor, level)
    half = len(values) // 2  # so that the first wrong one is soon found
    parts = values[:half], values[half:]
    return np.concatenate([entries(part, shape, tensor, level) for part in parts])


def shape_of(value: Any) -> list[int]:
    """Returns the shape that the first of each list's values gives (GetDenseTensorShape).

    Raises:
        ServingError: INVALID_ARGUMENT, more lists are in one another than a tensor has axes.
    """
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > MAX_RANK or isinstance(value, json_values.Unparsed):
        raise too_deep()
    return shape


def slowly(value: Any, shape: list[int], tensor: TensorInfo, level: int = 0) -> np.ndarray:
    """Returns a value of a shape, looked at one by one.

    Args:
        value: Lists as deep as the shape says.
        shape: What they must have.
        tensor: Whose values these are.
        level: How many lists they are in, for error texts.

    Raises:
        ServingError: as `read`.
    """
    dtype_name = scalars.dtype_name_of(tensor, value)
    values: list[Any] = []
    _fill(value, 0, shape, dtype_name, values, level)
    if dtype_name in scalars.INTEGERS:
        wide = np.uint64 if dtype_name == "uint64" else np.int64
        return np.array(values, wide).astype(dtypes.numpy_dtype(dtype_name)).reshape(shape)
    array = np.empty(len(values), dtypes.numpy_dtype(dtype_name))
    with np.errstate(over="ignore"):  # beyond the dtype is infinite
        array[:] = values
    return array.reshape(shape)


def _fill(
    value: Any, level: int, shape: list[int], dtype_name: str, into: list[Any], base: int
) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if isinstance(value, json_values.Unparsed):
            raise too_deep()
        if level != rank:
            raise invalid(
                f"JSON Value: {printing.text(value)} found at incorrect level: {base + level + 1} "
                f"in the JSON DOM. Expected at level: {base + rank}"
            )
        into.append(scalars.convert(value, dtype_name))
        return
    if level >= rank:
        raise invalid(
            f"Encountered list at unexpected level: {base + level} expected < {base + rank}"
        )
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {base + level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, dtype_name, into, base)


def regular(values: list[Any], tensor: TensorInfo) -> np.ndarray | None:
    """Converts regular lists as a whole; None where value by value is needed."""
    shape = [len(values)]
    types = set(map(type, values))
    while types == {list}:
        lengths = set(map(len, values))
        if len(lengths) > 1 or len(shape) == MAX_RANK:
            return None
        shape.append(lengths.pop())
        values = list(chain.from_iterable(values))
        types = set(map(type, values))
    if types in _NUMBERS or not types:
        found = of_dtype(np.array(values), tensor)
    elif types == {bool} and tensor.dtype == _BOOL:
        found = np.array(values)
    elif types == {str} and tensor.dtype == dtypes.DT_STRING:
        found = np.empty(len(values), object)
        found[:] = [value.encode(errors="surrogateescape") for value in values]
    else:
        return None
    return None if found is None else found.reshape(shape)


def of_dtype(array: np.ndarray, tensor: TensorInfo) -> np.ndarray | None:
    """Converts 64-bit numbers to a tensor's dtype; None where that takes other numbers."""
    try:
        name = dtypes.name(tensor.dtype)
    except ValueError:
        return None
    if name in scalars.FLOATS:
        if array.dtype.kind != "f":
            array = array.astype(np.float64)  # as GetFloat, which goes by way of a double
        with np.errstate(over="ignore"):  # beyond the dtype is infinite
            return array.astype(dtypes.numpy_dtype(name), copy=False)
    if name in scalars.INTEGERS:
        if not array.size:
            return array.astype(dtypes.numpy_dtype(name))
        low, high = scalars.INTEGERS[name]
        if array.dtype.kind in "iu" and low <= int(array.min()) and int(array.max()) <= high:
            return array.astype(dtypes.numpy_dtype(name))
    elif not array.size and name in ("string", "bool"):
        return array.astype(dtypes.numpy_dtype(name))
    return None


def too_deep(rank: int = MAX_RANK) -> ServingError:
    """Returns the error for lists in lists that are no tensor."""
    return invalid(f"Encountered more than {rank} nested lists; a tensor has at most as many")


class Stack:
    """Entries of a leading axis, which come some at a time.

    Attributes:
        count: How many there are.
        shape: Of one; None as long as there is none.
    """

    def __init__(self, capacity: int = 0, shape: tuple[int, ...] | None = None) -> None:
        """Takes how many values there are at most, where they are to be put in one place at once.

        Memory that isn't written to isn't used either.
        """
        self.count = 0
        self.shape = shape
        self._capacity = capacity
        self._buffer: np.ndarray | None = None
        self._filled = 0
        self._parts: list[np.ndarray] = []

    def takes(self, array: np.ndarray) -> bool:
        """Tells whether entries have the shape of those before."""
        return self.shape is None or array.shape[1:] == self.shape

    def add(self, array: np.ndarray) -> None:
        """Adds entries of that shape.

        Raises:
            ServingError: RESOURCE_EXHAUSTED, too many strings.
        """
        if not self.count:
            self.shape = array.shape[1:]
            if array.size < self._capacity // 4 and array.dtype.kind != "O":
                self._buffer = np.empty(self._capacity, array.dtype)
        self.count += len(array)
        self._filled += array.size
        if self._buffer is not None:
            self._buffer[self._filled - array.size : self._filled] = array.ravel()
            return
        if array.dtype.kind == "O" and self._filled > MAX_STRINGS:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"a tensor of a JSON request may have up to {MAX_STRINGS} strings",
            )
        self._parts.append(array)

    def finish(self) -> np.ndarray:
        """Returns all entries as one array."""
        assert self.shape is not None
        if self._buffer is not None:
            self._buffer.resize(self._filled, refcheck=False)
            return self._buffer.reshape(self.count, *self.shape)
        return self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
