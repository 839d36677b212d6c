"""Windows of an array that indices name: what gathers take and scatters change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from jax.lax import GatherScatterMode

from exporter.convert.plain_ops.rule import Site, Value


@dataclass(frozen=True)
class IndexWindows:
    """Where the windows of a gather or scatter lie in the operand.

    The semantics are XLA's: https://openxla.org/xla/operation_semantics#gather

    Attributes:
        indices: int [G…, n]: a window's start along each indexed axis.
        batch_shape: G….
        operand_shape: The operand's.
        indexed: The operand's axis for each entry of an index.
        batching: Pairs of an axis of the operand and one of `batch_shape` that go together.
        sizes: The window's size along each axis of the operand.
        wide: The keyed axes that the window keeps, in order.
    """

    indices: Value
    batch_shape: Sequence[Any]
    operand_shape: Sequence[Any]
    indexed: Sequence[int]
    batching: Sequence[tuple[int, int]]
    sizes: Sequence[Any]
    wide: Sequence[int]

    @property
    def keyed(self) -> list[int]:
        """The axes that an element's position names; the others are copied whole."""
        own = [*self.indexed, *(axis for axis, _ in self.batching)]
        return own + [axis for axis in self.wide if axis not in own]

    def starts(self, site: Site, mode: GatherScatterMode) -> tuple[list[Value], Value | None]:
        """Returns each indexed axis' starts [G…], within bounds, and bool [G…]: was within.

        The latter is None where nothing can be out of bounds.
        """
        columns = [self.indices[..., column] for column in range(len(self.indexed))]
        limits = [
            site.dimensions.size(self.operand_shape[axis] - self.sizes[axis])
            for axis in self.indexed
        ]
        pairs = list(zip(columns, limits, strict=True))
        if all(_always_within(starts, limit) for starts, limit in pairs):
            return columns, None
        # A broken promise counts, too: TensorFlow would fail the whole call, XLA clips.
        clipped = [tf.minimum(tf.maximum(starts, 0), limit) for starts, limit in pairs]
        if mode in (GatherScatterMode.CLIP, GatherScatterMode.PROMISE_IN_BOUNDS):
            return clipped, None
        within = tf.constant(True)
        for starts, inside in zip(columns, clipped, strict=True):
            within = tf.logical_and(within, tf.equal(starts, inside))
        return clipped, within

    def positions(self, site: Site, starts: Sequence[Value]) -> list[Value]:
        """Returns, for each keyed axis, its coordinates: broadcastable to [G…, wide…]."""
        rank, extra = len(self.batch_shape), len(self.wide)
        own = dict(zip(self.indexed, starts, strict=True))
        batching = dict(self.batching)
        coordinates = []
        for axis in self.keyed:
            place = tf.constant(0)
            if axis in own:
                place = site.reshape(own[axis], [*self.batch_shape, *[1] * extra])
            elif axis in batching:
                (size,) = site.sizes([self.batch_shape[batching[axis]]])
                place = _along(size, batching[axis], rank + extra)
            if axis in self.wide:
                size = site.dimensions.size(self.sizes[axis])
                place += _along(size, rank + self.wide.index(axis), rank + extra)
            coordinates.append(place)
        return coordinates

    def stack(self, site: Site, coordinates: Sequence[Value]) -> Value:
        """Joins coordinates to int32 [G…, wide…, keyed]."""
        shape = site.sizes([*self.batch_shape, *(self.sizes[axis] for axis in self.wide)])
        return tf.stack([tf.broadcast_to(place, shape) for place in coordinates], -1)


def _along(size: Any, axis: int, rank: int) -> Value:
    return tf.reshape(tf.range(size), [-1 if i == axis else 1 for i in range(rank)])


def _always_within(starts: Value, limit: Any) -> bool:
    """Whether starts are known, and known to be within bounds."""
    return (
        isinstance(starts, np.ndarray)
        and isinstance(limit, int)
        and bool(np.all((starts >= 0) & (starts <= limit)))
    )


def as_int32(indices: Value) -> Value:
    """Returns indices as TensorFlow's ops take them; what int32 can't hold stays out of bounds."""
    dtype = tf.as_dtype(indices.dtype)
    ends = tf.int32
    if isinstance(indices, np.ndarray):
        return np.clip(indices, max(dtype.min, ends.min), min(dtype.max, ends.max)).astype(np.int32)
    if dtype.size > 4 or dtype == tf.uint32:
        indices = tf.minimum(indices, tf.constant(ends.max, dtype))
    if dtype == tf.int64:
        indices = tf.maximum(indices, tf.constant(ends.min, dtype))
    return tf.cast(indices, tf.int32)
