"""Scatters: windows changed at indices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from jax.lax import GatherScatterMode

from exporter.convert.plain_ops.arithmetic import negated
from exporter.convert.plain_ops.axes import reordered
from exporter.convert.plain_ops.index_windows import IndexWindows, as_int32
from exporter.convert.plain_ops.logic import is_nan
from exporter.convert.plain_ops.rule import Rule, Site, Value


@dataclass(frozen=True)
class _Combination:
    """How a scatter combines updates with what is there.

    Attributes:
        apply: `(site, operand, positions, updates) -> result`.
        neutral: The update that changes nothing, by dtype; None: there is none.
    """

    apply: Callable[[Site, Value, Value, Value], Value]
    neutral: Callable[[tf.DType], Any] | None


def _scatter(combination: _Combination) -> Rule:
    def scatter(site: Site, operand: Value, indices: Value, updates: Value) -> Value:
        numbers = site.params["dimension_numbers"]
        mode = GatherScatterMode.from_any(site.params["mode"])
        shape, batch_rank = site.inputs[0].shape, len(site.inputs[1].shape) - 1
        inserted = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
        kept = [axis for axis in range(len(shape)) if axis not in inserted]
        update_shape = site.inputs[2].shape
        sizes: list[Any] = [1] * len(shape)
        for axis, update_axis in zip(kept, numbers.update_window_dims, strict=True):
            sizes[axis] = update_shape[update_axis]
        indexed = numbers.scatter_dims_to_operand_dims
        wide = [axis for axis in kept if axis in indexed or sizes[axis] != shape[axis]]
        windows = IndexWindows(
            as_int32(indices),
            site.inputs[1].shape[:-1],
            shape,
            indexed,
            list(
                zip(
                    numbers.operand_batching_dims,
                    numbers.scatter_indices_batching_dims,
                    strict=True,
                )
            ),
            sizes,
            wide,
        )
        whole = [axis for axis in kept if axis not in wide]
        update_axis = dict(zip(kept, numbers.update_window_dims, strict=True))
        batch_axes = [a for a in range(len(update_shape)) if a not in numbers.update_window_dims]
        updates = reordered(updates, [*batch_axes, *(update_axis[a] for a in [*wide, *whole])])
        order = [*windows.keyed, *whole]
        target = reordered(operand, order)
        starts, within = windows.starts(site, mode)
        coordinates = windows.positions(site, starts)
        if within is not None and combination.neutral is not None:
            extra = len(update_shape) - batch_rank
            mask = site.reshape(within, [*windows.batch_shape, *[1] * extra])
            neutral = tf.constant(combination.neutral(site.dtype), site.dtype)
            updates = tf.where(mask, updates, neutral)
        elif within is not None:
            # What is out of bounds goes to a row of its own, which is cut off again.
            mask = site.reshape(within, [*windows.batch_shape, *[1] * len(wide)])
            size = site.dimensions.size(shape[order[0]])
            coordinates[0] = tf.where(mask, coordinates[0], size)
            target = tf.pad(target, [(0, 1), *[(0, 0)] * (len(shape) - 1)])
        if not coordinates:
            # The window is the whole: the one row of an axis of its own.
            batch = site.sizes(windows.batch_shape)
            result = combination.apply(
                site, target[tf.newaxis], tf.zeros([*batch, 1], tf.int32)[tf.newaxis],
                updates[tf.newaxis],
            )[0]  # fmt: skip
            return reordered(result, [order.index(axis) for axis in range(len(shape))])
        positions = windows.stack(site, coordinates)
        if len(positions.shape) == 1:
            # TensorFlow's scatters want at least one axis beside the position's own.
            positions, updates = positions[tf.newaxis], updates[tf.newaxis]
        result = combination.apply(site, target, positions, updates)
        if within is not None and combination.neutral is None:
            result = result[:-1]
        return reordered(result, [order.index(axis) for axis in range(len(shape))])

    return Rule(scatter)


def _scatter_add(site: Site, target: Value, positions: Value, updates: Value) -> Value:
    """TensorFlow.js has no TensorScatterAdd, but sums duplicates in ScatterNd."""
    if site.portable:
        return target + tf.scatter_nd(positions, updates, tf.shape(target))
    return tf.tensor_scatter_nd_add(target, positions, updates)


def _by_segments(
    reduce: Callable[..., Value], combine: Callable[[Value, Value], Value]
) -> Callable[[Site, Value, Value, Value], Value]:
    """Reduces the updates of each place, and combines what comes of it with what is there.

    The op for products that TensorFlow has; of a place without updates it makes the neutral.
    """

    def apply(site: Site, target: Value, positions: Value, updates: Value) -> Value:
        keyed = positions.shape[-1]
        sizes = tf.unstack(tf.shape(target)[:keyed])
        place, rows = tf.zeros((), tf.int32), tf.ones((), tf.int32)
        for axis, size in enumerate(sizes):
            place = place * size + positions[..., axis]
            rows = rows * size
        reduced = reduce(updates, place, rows)
        return combine(target, tf.reshape(reduced, tf.shape(target)))

    return apply


def _extremum(scatter: Callable[..., Value]) -> Callable[[Site, Value, Value, Value], Value]:
    """NaN where one is, which TensorFlow's ops pass over."""

    def apply(site: Site, target: Value, positions: Value, updates: Value) -> Value:
        result = scatter(target, positions, updates)
        if not site.dtype.is_floating:
            return result
        shape = tf.shape(target)
        hits = tf.scatter_nd(positions, tf.cast(is_nan(updates), tf.int32), shape)
        undefined = tf.logical_or(hits > 0, is_nan(target))
        return tf.where(undefined, tf.constant(np.nan, site.dtype), result)

    return apply


def _zero(dtype: tf.DType) -> Any:
    """Added to -0, only -0 leaves it as it is."""
    return -0.0 if dtype.is_floating or dtype.is_complex else 0


_COMBINATIONS: Mapping[str, _Combination] = {
    "scatter": _Combination(lambda site, x, i, u: tf.tensor_scatter_nd_update(x, i, u), None),
    "scatter-add": _Combination(_scatter_add, _zero),
    "scatter-sub": _Combination(lambda site, x, i, u: _scatter_add(site, x, i, negated(u)), _zero),
    "scatter-max": _Combination(
        _extremum(tf.tensor_scatter_nd_max),
        lambda dtype: -np.inf if dtype.is_floating else dtype.min,
    ),
    "scatter-min": _Combination(
        _extremum(tf.tensor_scatter_nd_min),
        lambda dtype: np.inf if dtype.is_floating else dtype.max,
    ),
}


def _multiply_unique(site: Site, target: Value, positions: Value, updates: Value) -> Value:
    return tf.tensor_scatter_nd_update(target, positions, tf.gather_nd(target, positions) * updates)


_PRODUCT = _scatter(
    _Combination(_by_segments(tf.math.unsorted_segment_prod, tf.multiply), lambda dtype: 1)
)
_PRODUCT_OF_UNIQUE = _scatter(_Combination(_multiply_unique, None))


def _scatter_multiply(site: Site, *operands: Value) -> Value:
    """TensorFlow.js has no op that multiplies duplicates."""
    unique = site.portable and site.params["unique_indices"]
    return (_PRODUCT_OF_UNIQUE if unique else _PRODUCT).apply(site, *operands)


RULES = {
    **{name: _scatter(combination) for name, combination in _COMBINATIONS.items()},
    "scatter-mul": Rule(_scatter_multiply),
}
