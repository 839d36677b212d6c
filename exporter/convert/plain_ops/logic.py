"""Comparisons, choices, and logic on booleans and bits."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value, lazy


def _comparison(call: Callable[[Value, Value], Value]) -> Rule:
    def compare(site: Site, a: Value, b: Value) -> Value:
        if tf.as_dtype(site.inputs[0].dtype) == tf.bool:
            a, b = tf.cast(a, tf.int32), tf.cast(b, tf.int32)
        return call(a, b)

    return lazy(compare)


def _bitwise(on_booleans: Callable[..., Value], on_bits: Callable[..., Value]) -> Rule:
    def apply(site: Site, *operands: Value) -> Value:
        return (on_booleans if site.dtype == tf.bool else on_bits)(*operands)

    return lazy(apply)


def _shift(call: Callable[[Value, Value], Value], *, logical: bool) -> Rule:
    """A shift by all bits or more leaves nothing, in XLA; in TensorFlow it is undefined."""

    def shift(site: Site, x: Value, by: Value) -> Value:
        bits = site.dtype.size * 8
        unsigned = tf.as_dtype(f"uint{bits}")
        if logical:
            x, by = tf.bitcast(x, unsigned), tf.bitcast(by, unsigned)
        limit = tf.constant(bits - 1, x.dtype)
        too_far = by > limit
        shifted = call(x, tf.minimum(by, limit))
        if logical:
            shifted = tf.where(too_far, tf.zeros_like(shifted), shifted)
        return tf.bitcast(shifted, site.dtype)

    return Rule(shift)


def select_n(site: Site, which: Value, *cases: Value) -> Value:
    """Takes from the case that `which` names, elementwise; it may be a scalar."""
    if len(cases) == 1:
        return cases[0]
    if tf.as_dtype(site.inputs[0].dtype) == tf.bool:
        return tf.where(which, cases[1], cases[0])
    result = cases[0]
    for index, case in enumerate(cases[1:], start=1):
        result = tf.where(tf.greater_equal(which, index), case, result)
    return result


def exclusive_or(site: Site, a: Value, b: Value) -> Value:
    """On booleans: where they differ."""
    return tf.not_equal(a, b) if site.dtype == tf.bool else tf.bitwise.bitwise_xor(a, b)


def population_count(site: Site, x: Value) -> Value:
    """Counts the bits that are set."""
    return tf.cast(tf.raw_ops.PopulationCount(x=x), site.dtype)


def count_leading_zeros(site: Site, x: Value) -> Value:
    """Spreads the highest bit downwards and counts what is left."""
    bits = site.dtype.size * 8
    if site.portable:
        raise UnsupportedForm("TensorFlow.js has no shifts")
    unsigned = tf.as_dtype(f"uint{bits}")
    x = tf.bitcast(x, unsigned)
    step = 1
    while step < bits:
        x = tf.bitwise.bitwise_or(x, tf.bitwise.right_shift(x, tf.constant(step, unsigned)))
        step *= 2
    count = tf.cast(tf.raw_ops.PopulationCount(x=x), tf.int32)
    return tf.cast(bits - count, site.dtype)


RULES = {
    "and": _bitwise(tf.logical_and, tf.bitwise.bitwise_and),
    "clz": Rule(count_leading_zeros),
    "eq": _comparison(tf.equal),
    "ge": _comparison(tf.greater_equal),
    "gt": _comparison(tf.greater),
    "is_finite": lazy(lambda site, x: tf.math.is_finite(x)),
    "le": _comparison(tf.less_equal),
    "lt": _comparison(tf.less),
    "ne": _comparison(tf.not_equal),
    "not": _bitwise(tf.logical_not, tf.bitwise.invert),
    "or": _bitwise(tf.logical_or, tf.bitwise.bitwise_or),
    "population_count": lazy(population_count),
    "select_n": lazy(select_n),
    "shift_left": _shift(tf.bitwise.left_shift, logical=True),
    "shift_right_arithmetic": _shift(tf.bitwise.right_shift, logical=False),
    "shift_right_logical": _shift(tf.bitwise.right_shift, logical=True),
    "xor": lazy(exclusive_or),
}
