"""Data of long documents, read piece by piece: see `tfs_rest/pieces.py`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from server.api.tfs_rest.pieces import Group, Span, Text
from wire.tensors import TensorError


def elements(span: Span) -> list[Any]:
    """Returns the elements of a list; long ones unread.

    Raises:
        ServingError: INVALID_ARGUMENT, the document isn't JSON.
    """
    found: list[Any] = []
    for group in span.groups():
        found += group.values() if isinstance(group, Group) else [group]
    return found


def chunks(span: Span, shape: Sequence[int]) -> Iterator[list[Any]]:
    """Returns the values of a list that is flat, or nested as a shape says, some at a time.

    Raises:
        TensorError: it has another shape. ServingError: the document isn't JSON.
    """
    count = 0
    is_nested = None
    for values in _groups(span):
        has_lists = any(isinstance(value, list | Span) for value in values[:1])
        if is_nested is None:
            is_nested = has_lists and len(shape) > 1
        if is_nested:
            yield from _rows(values, shape[1:])
        else:
            yield [value.value() if isinstance(value, Text) else value for value in values]
        count += len(values)
    wanted = shape[0] if is_nested else math.prod(shape)
    if count != wanted:
        what = "lists" if is_nested else "values"
        raise TensorError(f"data have {count} {what}; shape {list(shape)} needs {wanted}")


def unnested(values: Sequence[Any], shape: Sequence[int], axis: int = 0) -> list[Any]:
    """Returns the values of lists in lists, which are as many and as long as a shape says.

    Raises:
        TensorError: they aren't.
    """
    found = [values]
    for depth, size in enumerate(shape, axis):
        if not all(isinstance(value, list) and len(value) == size for value in found):
            raise TensorError(
                f"data differ from their shape in axis {depth}: lists of {size} belong"
            )
        found = list(chain.from_iterable(found))
    return found


def _groups(span: Span) -> Iterator[list[Any]]:
    for group in span.groups():
        yield group.values() if isinstance(group, Group) else [group]


def _rows(values: list[Any], shape: Sequence[int]) -> Iterator[list[Any]]:
    if len(values) == 1 and isinstance(values[0], Span):
        if not values[0].is_list:
            raise TensorError("data hold an object")
        yield from _exactly(values[0], shape)
    else:
        yield unnested(values, (len(values), *shape))


def _exactly(span: Span, shape: Sequence[int]) -> Iterator[list[Any]]:
    """Returns the values of a row, which is nested to its end."""
    count = 0
    for values in _groups(span):
        if len(shape) > 1:
            yield from _rows(values, shape[1:])
        else:
            yield [value.value() if isinstance(value, Text) else value for value in values]
        count += len(values)
    if count != shape[0]:
        raise TensorError(f"data have a list of {count} where one of {shape[0]} belongs")
