"""Reductions along axes, and running ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from exporter.convert.plain_ops.dimensions import is_static
from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value


def _reduction(call: Callable[..., Value]) -> Rule:
    return Rule(lambda site, x: call(x, list(site.params["axes"])))


def _extremum_index(call: Callable[..., Value]) -> Rule:
    """The first of equals, as in JAX; NaNs are not looked for."""

    def index(site: Site, x: Value) -> Value:
        (axis,) = site.params["axes"]
        if tf.as_dtype(x.dtype) == tf.bool:
            x = tf.cast(x, tf.int32)
        return tf.cast(call(x, axis, output_type=tf.int32), site.dtype)

    return Rule(index)


def reduce_xor(site: Site, x: Value) -> Value:
    """On booleans: whether an odd number of them holds."""
    if site.dtype != tf.bool:
        raise UnsupportedForm("on integers")
    count = tf.reduce_sum(tf.cast(x, tf.int32), list(site.params["axes"]))
    return tf.equal(tf.math.floormod(count, 2), 1)


def _cumulative(call: Callable[..., Value]) -> Rule:
    return Rule(lambda site, x: call(x, axis=site.params["axis"], reverse=site.params["reverse"]))


def _doubling(combine: Callable[[Value, Value], Value]) -> Rule:
    """Combines with the neighbour 1, 2, 4, … steps away, for lack of an op of its own."""

    def accumulate(site: Site, x: Value) -> Value:
        axis, reverse = site.params["axis"], site.params["reverse"]
        length: Any = site.inputs[0].shape[axis]
        if not is_static(length):
            raise UnsupportedForm(f"along an axis of symbolic size {length}")
        step = 1
        while step < length:
            first, second = tf.split(x, [step, length - step], axis)
            if reverse:
                first, second = tf.split(x, [length - step, step], axis)
                x = tf.concat([combine(first, _shifted(x, step, length, axis)), second], axis)
            else:
                x = tf.concat([first, combine(second, _shifted(x, 0, length - step, axis))], axis)
            step *= 2
        return x

    return Rule(accumulate)


def _shifted(x: Value, start: int, stop: int, axis: int) -> Value:
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _log_add_exp(a: Value, b: Value) -> Value:
    largest = tf.maximum(a, b)
    return largest + tf.math.log1p(tf.exp(tf.minimum(a, b) - largest))


RULES = {
    "argmax": _extremum_index(tf.argmax),
    "argmin": _extremum_index(tf.argmin),
    "cumlogsumexp": _doubling(_log_add_exp),
    "cummax": _doubling(tf.maximum),
    "cummin": _doubling(tf.minimum),
    "cumprod": _cumulative(tf.math.cumprod),
    "cumsum": _cumulative(tf.math.cumsum),
    "reduce_and": _reduction(tf.reduce_all),
    "reduce_max": _reduction(tf.reduce_max),
    "reduce_min": _reduction(tf.reduce_min),
    "reduce_or": _reduction(tf.reduce_any),
    "reduce_prod": _reduction(tf.reduce_prod),
    "reduce_sum": _reduction(tf.reduce_sum),
    "reduce_xor": Rule(reduce_xor),
}
