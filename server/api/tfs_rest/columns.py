"""A whole tensor's JSON, however long it is.

Source: tensorflow_serving/util/json_tensor.cc, GetDenseTensorShape and FillTensorProto
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from server.api.tfs_rest import dense, document, numbers, pieces, printing
from server.engines.signatures import TensorInfo
from server.errors import ServingError, invalid
from wire import dtypes

# Each list in a long one is a pass over what is in it.
_MAX_LONG_RANK = 16
_DEEP = re.compile(rb"(?:\[[ \t\r\n]{,64}+){%d}" % (_MAX_LONG_RANK + 1))


def read_column(value: Any, tensor: TensorInfo) -> np.ndarray:
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
    return _read_list(value, tensor, 0, None)


def _read_list(
    span: pieces.Span, tensor: TensorInfo, level: int, wanted: tuple[int, ...] | None
) -> np.ndarray:
    """Reads a list in so many others, of a shape if one is wanted."""
    if wanted == ():
        raise invalid(f"Encountered list at unexpected level: {level} expected < {level}")
    if level == _MAX_LONG_RANK or _DEEP.match(span.body, span.start):
        raise dense.too_deep(_MAX_LONG_RANK)
    stack = dense.Stack(span.capacity, wanted[1:] if wanted else None)
    try:
        _fill(stack, span, tensor, level)
    except document.ParseError:
        raise
    except ServingError:
        _check_size(span.size(), level, wanted)  # which comes first
        raise
    _check_size(stack.count, level, wanted)
    return stack.finish() if stack.count else dense.read([], tensor)


def _check_size(size: int, level: int, wanted: tuple[int, ...] | None) -> None:
    if wanted and size != wanted[0]:
        raise invalid(
            f"Encountered list at unexpected size: {size} at level: {level} "
            f"expected size: {wanted[0]}"
        )


def _fill(stack: dense.Stack, span: pieces.Span, tensor: TensorInfo, level: int) -> None:
    for group in span.groups():
        if isinstance(group, pieces.Group):
            stack.add(_group(group, stack, tensor, level))
        elif isinstance(group, pieces.Span) and group.is_list:
            stack.add(_read_list(group, tensor, level + 1, stack.shape)[None])
        elif stack.shape:
            raise invalid(
                f"JSON Value: {printing.text(pieces.head(group))} found at incorrect level: "
                f"{level + 2} in the JSON DOM. Expected at level: {level + 1 + len(stack.shape)}"
            )
        else:
            stack.add(read_column(group, tensor)[None])


def _group(group: pieces.Group, stack: dense.Stack, tensor: TensorInfo, level: int) -> np.ndarray:
    found = numbers.read(group.text)
    array = found.of(tensor) if isinstance(found, numbers.Numbers) else None
    if array is not None and stack.takes(array):
        return array
    values = group.values()
    if not isinstance(values, list):
        raise dense.too_deep()
    shape = dense.shape_of(values)[1:] if stack.shape is None else stack.shape
    if level + len(shape) >= dense.MAX_RANK:
        raise dense.too_deep()
    return dense.entries(values, shape, tensor, level)
