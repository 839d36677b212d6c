"""Running reductions along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from exporter.convert.plain_ops.dimensions import is_static, static_shape
from exporter.convert.plain_ops.rule import Rule, Site, Value


def _cumulative(call: Callable[..., Value]) -> Rule:
    return Rule(lambda site, x: call(x, axis=site.params["axis"], reverse=site.params["reverse"]))


def _doubling(combine: Callable[[Value, Value], Value]) -> Rule:
    """Combines with the neighbour 1, 2, 4, … steps away, for lack of an op of its own."""

    def accumulate(site: Site, x: Value) -> Value:
        axis, reverse = site.params["axis"], site.params["reverse"]
        length: Any = site.inputs[0].shape[axis]

        def doubled(x: Value, step: Value, size: Value) -> Value:
            if reverse:
                first, second = tf.split(x, [size - step, step], axis)
                return tf.concat([combine(first, _cut(x, step, size, axis)), second], axis)
            first, second = tf.split(x, [step, size - step], axis)
            return tf.concat([first, combine(second, _cut(x, 0, size - step, axis))], axis)

        size = site.dimensions.size(length)
        if is_static(length):
            step = 1
            while step < size:
                x = doubled(x, step, size)
                step *= 2
            return x
        _, x = tf.while_loop(
            lambda step, x: step < size,
            lambda step, x: (step * 2, doubled(x, step, size)),
            (tf.constant(1), x),
            shape_invariants=(tf.TensorShape([]), static_shape(site.inputs[0].shape)),
            parallel_iterations=1,
        )
        return x

    return Rule(accumulate)


def _cut(x: Value, start: Value, stop: Value, axis: int) -> Value:
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _log_add_exp(a: Value, b: Value) -> Value:
    """Two infinities of a sign have no difference; their sum is right, as it is for NaN."""
    difference = a - b
    apart = tf.maximum(a, b) + tf.math.log1p(tf.exp(-tf.abs(difference)))
    return tf.where(tf.math.is_nan(difference), a + b, apart)


RULES = {
    "cumlogsumexp": _doubling(_log_add_exp),
    "cummax": _doubling(tf.maximum),
    "cummin": _doubling(tf.minimum),
    "cumprod": _cumulative(tf.math.cumprod),
    "cumsum": _cumulative(tf.math.cumsum),
}
