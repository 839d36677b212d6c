"""Gathers: windows taken at indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from jax.lax import GatherScatterMode

from exporter.convert.plain_ops.axes import reordered
from exporter.convert.plain_ops.index_windows import IndexWindows, as_int32
from exporter.convert.plain_ops.rule import Rule, Site, Value


def gather(site: Site, operand: Value, indices: Value) -> Value:
    """Takes windows; those out of bounds are moved inside or filled, as the mode says."""
    numbers = site.params["dimension_numbers"]
    mode = GatherScatterMode.from_any(site.params["mode"])
    indices = as_int32(indices)
    shape = site.inputs[0].shape
    batch_shape = site.inputs[1].shape[:-1]
    sizes = site.params["slice_sizes"]
    dropped = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    kept = [axis for axis in range(len(shape)) if axis not in dropped]
    wide = [a for a in kept if a in numbers.start_index_map or sizes[a] != shape[a]]
    windows = IndexWindows(
        indices,
        batch_shape,
        shape,
        numbers.start_index_map,
        list(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)),
        sizes,
        wide,
    )
    starts, within = windows.starts(site, mode)
    whole = [axis for axis in kept if axis not in wide]
    if windows.keyed == list(numbers.collapsed_slice_dims) and len(windows.keyed) == 1:
        axis = windows.keyed[0]
        taken = tf.gather(operand, starts[0], axis=axis)
        before = [f"window {a}" for a in whole if a < axis]
        labels = [*before, *_batch_labels(batch_shape), *(f"window {a}" for a in whole if a > axis)]
    elif windows.keyed:
        position = windows.stack(site, windows.positions(site, starts))
        taken = tf.gather_nd(reordered(operand, [*windows.keyed, *whole]), position)
        labels = [*_batch_labels(batch_shape), *(f"window {axis}" for axis in [*wide, *whole])]
    else:
        taken = operand
        labels = [f"window {axis}" for axis in whole]
        if batch_shape:
            taken = site.reshape(taken, [*[1] * len(batch_shape), *(shape[a] for a in whole)])
            taken = tf.broadcast_to(taken, site.sizes([*batch_shape, *(shape[a] for a in whole)]))
            labels = [*_batch_labels(batch_shape), *labels]
    if within is not None:
        rank = len(labels)
        first = labels.index("batch 0") if batch_shape else 0
        mask = site.reshape(
            within, [*[1] * first, *batch_shape, *[1] * (rank - first - len(batch_shape))]
        )
        taken = tf.where(mask, taken, _fill(site))
    windows_left, batch_left = iter(kept), iter(range(len(batch_shape)))
    wanted = [
        f"window {next(windows_left)}"
        if axis in numbers.offset_dims
        else f"batch {next(batch_left)}"
        for axis in range(len(site.outputs[0].shape))
    ]
    return reordered(taken, [labels.index(label) for label in wanted])


def _batch_labels(batch_shape: Sequence[Any]) -> list[str]:
    return [f"batch {axis}" for axis in range(len(batch_shape))]


def _fill(site: Site) -> Value:
    value = site.params["fill_value"]
    if value is None:
        # What jax.numpy.ndarray.at documents for the mode "fill".
        if site.dtype.is_floating or site.dtype.is_complex:
            value = np.nan
        else:
            value = (
                True
                if site.dtype == tf.bool
                else (site.dtype.max if site.dtype.is_unsigned else site.dtype.min)
            )
    return tf.constant(np.asarray(value, site.outputs[0].dtype))


RULES = {"gather": Rule(gather)}
