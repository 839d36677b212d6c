"""Sorting, by way of the top k: the one op for it that TensorFlow and TensorFlow.js share."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from exporter.convert.plain_ops.rule import Rule, Site, Value


def sort(site: Site, *operands: Value) -> Sequence[Value]:
    """Sorts the operands together by the first ones: stably, the least important key first."""
    axis, keys = site.params["dimension"], site.params["num_keys"]
    size = site.dimensions.size(site.inputs[0].shape[axis])
    moved = [_to_end(x, axis) for x in operands]
    if len(moved) == 1:
        falling, _ = tf.math.top_k(_turned(moved[0]), size)
        return [_to_end(_turned_back(falling, site), axis)]
    for key in reversed(range(keys)):
        _, order = tf.math.top_k(_turned(moved[key]), size)
        moved = [_take(x, order) for x in moved]
    return [_to_end(x, axis) for x in moved]


def top_k(site: Site, x: Value) -> Sequence[Value]:
    """The k largest, falling, with the first of equals first."""
    axis = site.params["axis"] % len(x.shape)
    values, indices = tf.math.top_k(_to_end(x, axis), site.dimensions.size(site.params["k"]))
    return [_to_end(values, axis), _to_end(indices, axis)]


def approx_top_k(site: Site, x: Value) -> Sequence[Value]:
    """The exact ones, which are no worse."""
    axis = site.params["reduction_dimension"] % len(x.shape)
    moved = _to_end(x, axis)
    largest = site.params["is_max_k"]
    values, indices = tf.math.top_k(moved if largest else -moved, site.params["k"])
    return [_to_end(values if largest else -values, axis), _to_end(indices, axis)]


def _to_end(x: Value, axis: int) -> Value:
    """Swaps an axis with the last one; doing it twice undoes it."""
    last = len(x.shape) - 1
    if axis == last:
        return x
    order = list(range(last + 1))
    order[axis], order[last] = last, axis
    return tf.transpose(x, order)


def _turned(x: Value) -> Value:
    """Makes the smallest the largest; for integers without overflow."""
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.int32)
    dtype = tf.as_dtype(x.dtype)
    if dtype.is_unsigned:
        return dtype.max - x
    return -1 - x if dtype.is_integer else -x


def _turned_back(x: Value, site: Site) -> Value:
    dtype = tf.as_dtype(x.dtype)
    if dtype.is_unsigned:
        return dtype.max - x
    return tf.cast(-1 - x if dtype.is_integer else -x, site.dtype)


def _take(x: Value, order: Value) -> Value:
    return tf.gather(x, order, axis=-1, batch_dims=len(x.shape) - 1)


RULES = {
    "approx_top_k": Rule(approx_top_k),
    "sort": Rule(sort),
    "top_k": Rule(top_k),
}
