"""Calls' tensors as one batch, and a batch's results as theirs again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from server.errors import invalid

Tensors = Mapping[str, np.ndarray]

# XLA takes host memory as it is, without a copy, where it is aligned like this.
_ALIGNMENT = 64


def count_rows(inputs: Tensors) -> int | None:
    """Returns the inputs' common leading dimension; None where they have none, or it is 0."""
    sizes = {array.shape[0] if array.shape else 0 for array in inputs.values()}
    return sizes.pop() or None if len(sizes) == 1 else None


def check_content(inputs: Tensors, most: int) -> None:
    """Refuses rows that nothing stands behind: 40 bytes may say that they are 100 million.

    An empty input may have as many rows as one with content, or as a batch may have.

    Args:
        inputs: Tensors by name.
        most: Rows of a batch.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    backed = max([most, *(len(a) for a in inputs.values() if a.size and a.ndim)])
    for name, array in inputs.items():
        if not array.size and array.shape[0] > backed:
            raise invalid(
                f'input "{name}" has shape {list(array.shape)}, which holds nothing; '
                f"at most {backed} empty rows are taken"
            )


def layout(inputs: Tensors, *, ranks_only: bool) -> tuple[object, ...]:
    """Returns what must be equal for tensors to be merged: all but the leading dimension.

    Args:
        inputs: Tensors by name.
        ranks_only: Leave sizes open, for tensors that are padded to a common shape.
    """
    if ranks_only:
        return tuple([array.ndim for array in inputs.values()])
    return tuple([array.shape[1:] for array in inputs.values()])


def merge(calls: Sequence[Tensors], size: int) -> dict[str, np.ndarray]:
    """Puts the rows of all calls one after another, in arrays of `size` rows.

    Rows that are left over repeat the first one, as in TensorFlow Serving: a real row can't lead
    a model where no request would (source: batching/batching_session.cc). Where shapes differ
    in other dimensions, rows are filled up with the call's first element.
    """
    if len(calls) == 1 and all(
        len(array) == size and array.flags.aligned  # a view of a message need not be
        for array in calls[0].values()
    ):
        return dict(calls[0])
    return {name: _merge([call[name] for call in calls], size) for name in calls[0]}


def split(outputs: Tensors, rows: Sequence[int], size: int) -> list[dict[str, np.ndarray]] | None:
    """Cuts a batch's outputs into those of each call; None if an output has no row a row."""
    if any(not array.ndim or len(array) != size for array in outputs.values()):
        return None
    parts = []
    start = 0
    for count in rows:
        parts.append({name: array[start : start + count] for name, array in outputs.items()})
        start += count
    return parts


def chunks(inputs: Tensors, size: int) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Cuts inputs, one after the other, into calls of at most `size` rows; yields their rows."""
    total = len(next(iter(inputs.values())))
    for start in range(0, total, size):
        part = {name: array[start : start + size] for name, array in inputs.items()}
        yield part, min(size, total - start)


def join(parts: Sequence[Tensors]) -> dict[str, np.ndarray]:
    """Puts the outputs of a cut call together again."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _merge(arrays: Sequence[np.ndarray], size: int) -> np.ndarray:
    first = arrays[0]
    if all(array.shape[1:] == first.shape[1:] for array in arrays):
        merged = _empty((size, *first.shape[1:]), first.dtype)
        start = sum(map(len, arrays))
        np.concatenate(arrays, out=merged[:start])
    else:
        widest = np.max([array.shape[1:] for array in arrays], axis=0)
        merged = _empty((size, *map(int, widest)), first.dtype)
        start = 0
        for array in arrays:
            block = merged[start : start + len(array)]
            block[...] = array.flat[0] if array.size else np.zeros((), array.dtype)
            block[(slice(None), *map(slice, array.shape[1:]))] = array
            start += len(array)
    merged[start:] = merged[0]
    return merged


def _empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if dtype.hasobject:
        return np.empty(shape, dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -memory.__array_interface__["data"][0] % _ALIGNMENT  # `ctypes.data` takes longer
    return memory[start : start + nbytes].view(dtype).reshape(shape)
