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


def _total_order(call: Callable[[Value, Value], Value]) -> Rule:
    """Compares by the total order: -NaN, -inf, …, -0, 0, …, inf, NaN."""

    def compare(site: Site, a: Value, b: Value) -> Value:
        dtype = tf.as_dtype(site.inputs[0].dtype)
        if dtype == tf.bool:
            return call(tf.cast(a, tf.int32), tf.cast(b, tf.int32))
        if not dtype.is_floating:
            return call(a, b)
        if site.portable:
            return call(*_ranks(a, b))
        return call(total_order(a), total_order(b))

    return lazy(compare)


def is_nan(x: Value) -> Value:
    """Tells NaN, which alone differs from itself: TensorFlow Lite has no op IsNan."""
    return tf.not_equal(x, x)


def total_order(x: Value) -> Value:
    """Returns signed integers that stand in the total order of the floats.

    Of a negative number all bits but the sign are turned around.
    """
    x = tf.convert_to_tensor(x)
    if x.dtype.size < 4:
        x = tf.cast(x, tf.float32)
    whole = tf.as_dtype(f"int{8 * x.dtype.size}")
    bits = tf.bitcast(x, whole)
    return tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, whole.max), bits)


def _ranks(a: Value, b: Value) -> tuple[Value, Value]:
    """Stands for two floats -1, 0 or 1, as they compare; NaN is the largest.

    JAX has made -0 and -NaN positive before it compares.
    """
    nan_a, nan_b = is_nan(a), is_nan(b)
    above = tf.logical_or(tf.greater(a, b), tf.logical_and(nan_a, tf.logical_not(nan_b)))
    below = tf.logical_or(tf.less(a, b), tf.logical_and(nan_b, tf.logical_not(nan_a)))
    rank = tf.cast(above, tf.int32) - tf.cast(below, tf.int32)
    return rank, tf.zeros((), tf.int32)


def _shift_logically(call: Callable[[Value, Value], Value]) -> Rule:
    """A shift by all bits or more leaves nothing, in XLA; in TensorFlow it is undefined."""

    def shift(site: Site, x: Value, by: Value) -> Value:
        unsigned = tf.as_dtype(f"uint{8 * site.dtype.size}")
        x, by = tf.bitcast(x, unsigned), tf.bitcast(by, unsigned)
        limit = tf.constant(8 * site.dtype.size - 1, unsigned)
        shifted = call(x, tf.minimum(by, limit))
        return tf.bitcast(tf.where(by > limit, tf.zeros_like(shifted), shifted), site.dtype)

    return Rule(shift)


def shift_right_arithmetic(site: Site, x: Value, by: Value) -> Value:
    """Shifts copies of the highest bit in, of unsigned integers, too; too far is all the way."""
    bits = 8 * site.dtype.size
    signed, unsigned = tf.as_dtype(f"int{bits}"), tf.as_dtype(f"uint{bits}")
    by = tf.minimum(tf.bitcast(by, unsigned), tf.constant(bits - 1, unsigned))
    shifted = tf.bitwise.right_shift(tf.bitcast(x, signed), tf.bitcast(by, signed))
    return tf.bitcast(shifted, site.dtype)


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
    "eq_to": _total_order(tf.equal),
    "ge": _comparison(tf.greater_equal),
    "gt": _comparison(tf.greater),
    "is_finite": lazy(lambda site, x: tf.math.is_finite(x)),
    "le": _comparison(tf.less_equal),
    "le_to": _total_order(tf.less_equal),
    "lt": _comparison(tf.less),
    "lt_to": _total_order(tf.less),
    "ne": _comparison(tf.not_equal),
    "not": _bitwise(tf.logical_not, tf.bitwise.invert),
    "or": _bitwise(tf.logical_or, tf.bitwise.bitwise_or),
    "population_count": lazy(population_count),
    "select_n": lazy(select_n),
    "shift_left": _shift_logically(tf.bitwise.left_shift),
    "shift_right_arithmetic": Rule(shift_right_arithmetic),
    "shift_right_logical": _shift_logically(tf.bitwise.right_shift),
    "xor": lazy(exclusive_or),
}
