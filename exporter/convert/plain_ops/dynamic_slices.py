"""Slices at places that are known only when the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from exporter.convert.plain_ops.index_windows import as_int32
from exporter.convert.plain_ops.rule import Rule, Site, Value


def dynamic_slice(site: Site, operand: Value, *starts: Value) -> Value:
    """A block whose start is moved so that the block lies inside."""
    sizes = site.params["slice_sizes"]
    begin = _clipped(site, starts, site.inputs[0].shape, sizes)
    return tf.slice(operand, begin, site.sizes(sizes))


def dynamic_update_slice(site: Site, operand: Value, update: Value, *starts: Value) -> Value:
    """Replaces such a block: cut apart along one axis after the other, and joined again."""
    shape, sizes = site.inputs[0].shape, site.inputs[1].shape
    begin = _clipped(site, starts, shape, sizes)
    partial = [axis for axis in range(len(shape)) if shape[axis] != sizes[axis]]

    def replace(block: Value, axes: Sequence[int]) -> Value:
        if not axes:
            return update
        axis, *others = axes
        start, size = begin[axis], site.dimensions.size(sizes[axis])
        whole = (slice(None),) * axis
        before = block[(*whole, slice(None, start))]
        inside = block[(*whole, slice(start, start + size))]
        after = block[(*whole, slice(start + size, None))]
        return tf.concat([before, replace(inside, others), after], axis)

    return replace(tf.convert_to_tensor(operand), partial)


def _clipped(
    site: Site, starts: Sequence[Value], shape: Sequence[Any], sizes: Sequence[Any]
) -> list[Value]:
    clipped = []
    for start, whole, size in zip(starts, shape, sizes, strict=True):
        limit = site.dimensions.size(whole - size)
        if isinstance(start, np.ndarray) and isinstance(limit, int):
            clipped.append(min(max(int(start), 0), limit))
        elif isinstance(limit, int) and limit == 0:
            clipped.append(0)
        else:
            clipped.append(tf.minimum(tf.maximum(as_int32(start), 0), limit))
    return clipped


RULES = {
    "dynamic_slice": Rule(dynamic_slice),
    "dynamic_update_slice": Rule(dynamic_update_slice),
}
