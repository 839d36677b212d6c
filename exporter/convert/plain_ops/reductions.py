"""Reductions along axes."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from exporter.convert.plain_ops.logic import is_nan
from exporter.convert.plain_ops.rule import Rule, Site, Value


def _reduction(call: Callable[..., Value]) -> Rule:
    return Rule(lambda site, x: call(x, list(map(int, site.params["axes"]))))


def _extremum(call: Callable[..., Value]) -> Rule:
    """NaN where one is; complex numbers are ordered by their real parts first."""

    def reduce(site: Site, x: Value) -> Value:
        axes = list(map(int, site.params["axes"]))
        if not site.dtype.is_complex:
            return call(x, axes)
        real, imaginary = tf.math.real(x), tf.math.imag(x)
        best = call(real, axes, keepdims=True)
        lost = float("-inf") if call is tf.reduce_max else float("inf")
        candidates = tf.where(tf.equal(real, best), imaginary, tf.constant(lost, real.dtype))
        return tf.complex(tf.squeeze(best, axes), call(candidates, axes))

    return Rule(reduce)


def _extremum_index(extremum: Callable[..., Value]) -> Rule:
    """The first NaN, or else the first of equals; TensorFlow's own ops skip NaNs."""

    def index(site: Site, x: Value) -> Value:
        axis = int(site.params["axes"][0])
        dtype = tf.as_dtype(x.dtype)
        if dtype == tf.bool:
            x = tf.cast(x, tf.int32)
        if dtype.is_floating:
            # Nothing equals an extremum that is NaN.
            best = tf.equal(x, extremum(x, axis, keepdims=True))
            x, find = tf.cast(tf.logical_or(best, is_nan(x)), tf.int32), tf.argmax
        else:
            find = tf.argmax if extremum is tf.reduce_max else tf.argmin
        return tf.cast(find(x, axis, output_type=tf.int32), site.dtype)

    return Rule(index)


def _bitwise(on_booleans: Callable[..., Value]) -> Rule:
    """Integers are reduced bit by bit."""

    def reduce(site: Site, x: Value) -> Value:
        axes = list(map(int, site.params["axes"]))
        if site.dtype == tf.bool:
            return on_booleans(x, axes)
        unsigned = tf.as_dtype(f"uint{8 * site.dtype.size}")
        places = tf.cast(tf.range(8 * site.dtype.size), unsigned)
        bits = tf.bitwise.right_shift(tf.bitcast(x, unsigned)[..., tf.newaxis], places)
        is_set = tf.not_equal(tf.bitwise.bitwise_and(bits, tf.ones((), unsigned)), 0)
        reduced = tf.cast(on_booleans(is_set, axes), unsigned)
        return tf.bitcast(tf.reduce_sum(tf.bitwise.left_shift(reduced, places), -1), site.dtype)

    return Rule(reduce)


def _is_odd(x: Value, axes: list[int]) -> Value:
    count = tf.reduce_sum(tf.cast(x, tf.int32), axes)
    return tf.equal(tf.math.floormod(count, 2), 1)


RULES = {
    "argmax": _extremum_index(tf.reduce_max),
    "argmin": _extremum_index(tf.reduce_min),
    "reduce_and": _bitwise(tf.reduce_all),
    "reduce_max": _extremum(tf.reduce_max),
    "reduce_min": _extremum(tf.reduce_min),
    "reduce_or": _bitwise(tf.reduce_any),
    "reduce_prod": _reduction(tf.reduce_prod),
    "reduce_sum": _reduction(tf.reduce_sum),
    "reduce_xor": _bitwise(_is_odd),
}
