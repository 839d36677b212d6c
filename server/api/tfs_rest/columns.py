"""A whole tensor's JSON, however long it is.

Source: tensorflow_serving/util/json_tensor.cc, GetDenseTensorShape and FillTensorProto
"""

from __future__ import annotations

from typing import Any

import numpy as np

from server.api.tfs_rest import dense, numbers, pieces
from server.engines.signatures import Tensor
from server.errors import invalid
from wire import dtypes


def read_column(value: Any, tensor: Tensor) -> np.ndarray:
    """Returns a value, a list, or a list that isn't read yet, as a tensor.

    Raises:
        ServingError: as `dense.read`; INVALID_ARGUMENT, it isn't JSON.
    """
    if isinstance(value, pieces.Text) and tensor.dtype == dtypes.DT_STRING:
        return dense.read(value.value(), tensor)
    if not isinstance(value, pieces.Span):
        return dense.read(pieces.head(value), tensor)
    if not value.is_list:
        return dense.read(pieces.head(value), tensor)  # to hear that it's no value
    return _read_list(value, tensor, 0)


def _read_list(span: pieces.Span, tensor: Tensor, level: int) -> np.ndarray:
    if level == dense.MAX_RANK:
        raise dense.too_deep()
    stack = dense.Stack(span.capacity)
    for group in span.groups():
        if isinstance(group, pieces.Group):
            stack.add(_group(group, stack, tensor, level))
        elif isinstance(group, pieces.Span) and group.is_list:
            entry = _read_list(group, tensor, level + 1)[None]
            _check(entry, stack, level + 1)
            stack.add(entry)
        else:
            entry = read_column(group, tensor)[None]
            _check(entry, stack, level + 1)
            stack.add(entry)
    return stack.finish() if stack.count else dense.read([], tensor)


def _group(group: pieces.Group, stack: dense.Stack, tensor: Tensor, level: int) -> np.ndarray:
    found = numbers.read(group.text)
    array = found.of(tensor) if isinstance(found, numbers.Numbers) else None
    if array is not None and stack.takes(array):
        return array
    values = group.values()
    if not isinstance(values, list):
        raise dense.too_deep()
    shape = dense.shape_of(values[0]) if stack.shape is None else stack.shape
    return dense.entries(values, shape, tensor, level)


def _check(entry: np.ndarray, stack: dense.Stack, level: int) -> None:
    if stack.takes(entry):
        return
    if entry.ndim == 1:
        rank = level + len(stack.shape or ())
        raise invalid(f"A value found at level: {level + 1}. Expected at level: {rank}")
    wanted, got = stack.shape or (), entry.shape[1:]
    if not wanted:
        raise invalid(f"Encountered list at unexpected level: {level} expected < {level}")
    for axis, (want, size) in enumerate(zip(wanted, got, strict=False)):
        if want != size:
            raise invalid(
                f"Encountered list at unexpected size: {size} at level: {level + axis} "
                f"expected size: {want}"
            )
    depth = level + min(len(wanted), len(got))
    raise invalid(f"Encountered list at unexpected level: {depth} expected < {depth}")
