"""Sorting, by way of the top k: the one op for it that TensorFlow and TensorFlow.js share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from exporter.convert.plain_ops.logic import is_nan, total_order
from exporter.convert.plain_ops.rule import Rule, Site, Value


def sort(site: Site, *operands: Value) -> Sequence[Value]:
    """Sorts the operands together by the first ones: stably, the least important key first.

    NaN is the largest, and -0 is 0.
    """
    axis, keys = site.params["dimension"], site.params["num_keys"]
    size = site.dimensions.size(site.inputs[0].shape[axis])
    moved = [_to_end(x, axis) for x in operands]
    if len(moved) == 1 and not site.dtype.is_complex:
        return [_to_end(_sorted(site, moved[0], size), axis)]
    order = None
    for operand in reversed(moved[:keys]):
        for key in reversed(_keys(site, operand)):
            _, step = tf.math.top_k(key if order is None else _take(key, order), size)
            order = step if order is None else _take(order, step)
    return [_to_end(_take(x, order), axis) for x in moved]


def _sorted(site: Site, x: Value, size: Value) -> Value:
    """One operand alone; NaNs are sorted as infinite and put in behind."""
    if not site.dtype.is_floating:
        falling, _ = tf.math.top_k(_turned(x), size)
        return _turned_back(falling, site)
    undefined = is_nan(x)
    numbers = tf.where(undefined, tf.constant(np.inf, x.dtype), x)
    falling, _ = tf.math.top_k(-numbers, size)
    defined = size - tf.reduce_sum(tf.cast(undefined, tf.int32), -1, keepdims=True)
    return tf.where(tf.range(size) < defined, -falling, tf.constant(np.nan, x.dtype))


def _keys(site: Site, x: Value) -> list[Value]:
    """Returns what stands in the falling order of an operand's rising one, most important first."""
    dtype = tf.as_dtype(x.dtype)
    if dtype.is_complex:
        return [*_keys(site, tf.math.real(x)), *_keys(site, tf.math.imag(x))]
    if not dtype.is_floating:
        return [_turned(x)]
    undefined = is_nan(x)
    if site.portable:
        largest = tf.constant(np.inf, dtype)
        return [-tf.cast(undefined, tf.int32), -tf.where(undefined, largest, x)]
    zero = tf.zeros((), dtype)
    return [-1 - _rank(tf.where(tf.equal(x, zero), zero, x))]


def _rank(x: Value) -> Value:
    """Returns integers in the order of floats, of which NaN is the largest, and -0 is below 0."""
    return total_order(tf.where(is_nan(x), tf.constant(np.nan, x.dtype), x))


def top_k(site: Site, x: Value) -> Sequence[Value]:
    """The k largest, falling, with the first of equals first; NaN is larger, and -0 below 0."""
    return _largest(site, x, site.params["axis"], site.dimensions.size(site.params["k"]))


def approx_top_k(site: Site, x: Value) -> Sequence[Value]:
    """The exact ones, which are no worse."""
    largest = site.params["is_max_k"]
    values, indices = _largest(
        site, x if largest else -x, site.params["reduction_dimension"], site.params["k"]
    )
    return [values if largest else -values, indices]


def _largest(site: Site, x: Value, axis: int, k: Value) -> list[Value]:
    axis %= len(x.shape)
    moved = _to_end(x, axis)
    if not moved.dtype.is_floating:
        values, indices = tf.math.top_k(moved, k)
    else:
        # In TensorFlow.js, NaN is as large as infinity, and the first of them comes first.
        infinite = tf.where(is_nan(moved), tf.constant(np.inf, moved.dtype), moved)
        _, indices = tf.math.top_k(infinite if site.portable else _rank(moved), k)
        values = _take(moved, indices)
    return [_to_end(values, axis), _to_end(indices, axis)]


def _to_end(x: Value, axis: int) -> Value:
    """Swaps an axis with the last one; doing it twice undoes it."""
    last = len(x.shape) - 1
    if axis == last:
        return x
    order = list(range(last + 1))
    order[axis], order[last] = last, axis
    return tf.transpose(x, order)


def _turned(x: Value) -> Value:
    """Makes the smallest integer the largest, without overflow."""
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.int32)
    dtype = tf.as_dtype(x.dtype)
    return dtype.max - x if dtype.is_unsigned else -1 - x


def _turned_back(x: Value, site: Site) -> Value:
    dtype = tf.as_dtype(x.dtype)
    return tf.cast(dtype.max - x if dtype.is_unsigned else -1 - x, site.dtype)


def _take(x: Value, order: Value) -> Value:
    return tf.gather(x, order, axis=-1, batch_dims=len(x.shape) - 1)


RULES = {
    "approx_top_k": Rule(approx_top_k),
    "sort": Rule(sort),
    "top_k": Rule(top_k),
}
