"""Arithmetic of one element at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value, lazy


def _function(call: Callable[..., Value]) -> Rule:
    """A rule for a primitive whose TensorFlow namesake takes the same operands."""
    return lazy(lambda site, *operands: call(*operands))


def add(site: Site, a: Value, b: Value) -> Value:
    """A vector along the last axis is a bias."""
    for x, bias in ((a, b), (b, a)):
        if _is_bias(site, x, bias):
            return tf.nn.bias_add(x, bias)
    return tf.add(a, b)


def _is_bias(site: Site, x: Value, bias: Value) -> bool:
    rank = len(site.outputs[0].shape)
    return (
        site.dtype.is_floating
        and len(bias.shape) == 1
        and 2 <= rank <= 5
        and len(x.shape) == rank
        and x.shape[-1] is not None
        and x.shape[-1] == bias.shape[0]
    )


def absolute(site: Site, x: Value) -> Value:
    """The size; that of the least integer is itself."""
    return tf.abs(x)


def negative(site: Site, x: Value) -> Value:
    """Unsigned integers wrap around."""
    return negated(x)


def negated(x: Value) -> Value:
    """Returns -x; of unsigned integers by their bits, for lack of a kernel.

    Nor does 0 - x do: TensorFlow's optimizer makes a negation of it.
    """
    dtype = tf.as_dtype(x.dtype)
    if not dtype.is_unsigned:
        return tf.negative(x)
    return tf.bitcast(tf.negative(tf.bitcast(x, f"int{8 * dtype.size}")), dtype)


def sign(site: Site, x: Value) -> Value:
    """-1, 0 or 1; a zero keeps its sign, which TensorFlow drops."""
    if site.dtype.is_unsigned:
        return tf.cast(tf.not_equal(x, tf.zeros((), site.dtype)), site.dtype)
    if not site.dtype.is_floating:
        return tf.sign(x)
    return tf.where(tf.equal(x, tf.zeros((), site.dtype)), x, tf.sign(x))


def maximum(site: Site, a: Value, b: Value) -> Value:
    """The larger, or NaN where one is; against zero it is a ReLU."""
    if site.dtype == tf.bool:
        return tf.logical_or(a, b)
    if site.dtype.is_complex:
        return tf.where(_is_greater(a, b), a, b)
    for x, floor in ((a, b), (b, a)):
        is_zero = isinstance(floor, np.ndarray) and floor.ndim == 0 and floor == 0
        if is_zero and tf.is_tensor(x) and site.dtype.is_floating:
            return tf.nn.relu(x)
    return tf.maximum(a, b)


def minimum(site: Site, a: Value, b: Value) -> Value:
    """The smaller, or NaN where one is."""
    if site.dtype.is_complex:
        return tf.where(_is_greater(b, a), a, b)
    return tf.logical_and(a, b) if site.dtype == tf.bool else tf.minimum(a, b)


def _is_greater(a: Value, b: Value) -> Value:
    """Complex numbers are ordered by their real parts, then by the imaginary ones."""
    real_a, real_b = tf.math.real(a), tf.math.real(b)
    by_imaginary = tf.logical_and(
        tf.equal(real_a, real_b), tf.greater(tf.math.imag(a), tf.math.imag(b))
    )
    return tf.logical_or(tf.greater(real_a, real_b), by_imaginary)


def clamp(site: Site, low: Value, x: Value, high: Value) -> Value:
    """Limits x from below and then from above, so that the upper limit counts."""
    return tf.minimum(tf.maximum(x, low), high)


def divide(site: Site, a: Value, b: Value) -> Value:
    """Integers are divided towards zero, and by zero as XLA does: all bits are set."""
    if not site.dtype.is_integer:
        return tf.divide(a, b)
    a, b, safe = _divisor(site, a, b)
    if safe is b:
        return _quotient(site, a, b)
    quotient = _quotient(site, a, safe)
    if not site.dtype.is_unsigned:
        quotient = tf.where(tf.equal(b, -1), -a, quotient)  # of the least number, too: itself
    ones = site.dtype.max if site.dtype.is_unsigned else -1
    return tf.where(tf.equal(b, 0), tf.constant(ones, site.dtype), quotient)


def remainder(site: Site, a: Value, b: Value) -> Value:
    """The remainder has the sign of the dividend, as in C; that of a division by zero is it."""
    if not site.dtype.is_integer:
        return _float_remainder(site, a, b)
    a, b, safe = _divisor(site, a, b)
    remains = a - safe * _quotient(site, a, safe)
    return remains if safe is b else tf.where(tf.equal(b, 0), a, remains)


def _divisor(site: Site, a: Value, b: Value) -> tuple[Value, Value, Value]:
    """Both operands as tensors, and a divisor at which no processor stops: 1 in place of 0 and -1.

    TensorFlow fails the whole call where one divisor is 0, and the process where the least number
    is divided by -1.
    """
    is_constant = isinstance(b, np.ndarray)
    stops = np.array([0] if site.dtype.is_unsigned else [0, -1])
    is_safe = is_constant and not np.isin(b, stops).any()
    a, b = tf.convert_to_tensor(a, site.dtype), tf.convert_to_tensor(b, site.dtype)
    if is_safe:
        return a, b, b
    bad = tf.equal(b, 0)
    if not site.dtype.is_unsigned:
        bad = tf.logical_or(bad, tf.equal(b, -1))
    return a, b, tf.where(bad, tf.ones((), site.dtype), b)


def _quotient(site: Site, a: Value, b: Value) -> Value:
    if site.dtype.is_unsigned or not site.portable:
        return tf.truncatediv(a, b)
    floor = tf.math.floordiv(a, b)
    rounded_away = tf.logical_and(tf.not_equal(floor * b, a), (a < 0) != (b < 0))
    return tf.where(rounded_away, floor + 1, floor)


def _float_remainder(site: Site, a: Value, b: Value) -> Value:
    if site.dtype.size < 4:
        # There is no kernel for halves; the remainder of two of them is exact in float32, too.
        wide = [tf.cast(x, tf.float32) for x in (a, b)]
        return tf.cast(tf.raw_ops.Mod(x=wide[0], y=wide[1]), site.dtype)
    if not site.portable:
        return tf.raw_ops.Mod(x=a, y=b)
    remains = tf.math.floormod(a, b)
    zero = tf.zeros((), site.dtype)
    other_sign = tf.logical_and(tf.not_equal(remains, zero), (a < zero) != (b < zero))
    return tf.where(other_sign, remains - b, remains)


def integer_power(site: Site, x: Value) -> Value:
    """Multiplies repeatedly, by squares."""
    exponent = site.params["y"]
    result, square, left = None, x, abs(exponent)
    while left:
        if left % 2:
            result = square if result is None else result * square
        left //= 2
        if left:
            square = tf.square(square)
    if result is None:
        return tf.ones_like(x)
    return tf.math.reciprocal(result) if exponent < 0 else result


def multiply_high(site: Site, a: Value, b: Value) -> Value:
    """The upper half of the product, computed in twice as many bits."""
    bits = 8 * site.dtype.size
    if bits == 64:
        raise UnsupportedForm("of 64 bits: TensorFlow has no integers of 128")
    wide = tf.uint64 if site.dtype.is_unsigned else tf.int64
    product = tf.cast(a, wide) * tf.cast(b, wide)
    return tf.cast(tf.bitwise.right_shift(product, tf.constant(bits, wide)), site.dtype)


def round_to_integer(site: Site, x: Value) -> Value:
    """Halves go to the even neighbour, or away from zero."""
    if int(site.params["rounding_method"]) == 1:
        return tf.round(x)
    size = tf.abs(x)
    whole = tf.floor(size)
    rounded = whole + tf.cast(size - whole >= 0.5, site.dtype)
    return tf.where(tf.equal(rounded, size), x, tf.sign(x) * rounded)


RULES = {
    "abs": lazy(absolute),
    "add": lazy(add),
    "add_any": lazy(add),
    "ceil": _function(tf.math.ceil),
    "clamp": lazy(clamp),
    "div": lazy(divide),
    "floor": _function(tf.floor),
    "integer_pow": lazy(integer_power),
    "max": lazy(maximum),
    "min": lazy(minimum),
    "mulhi": lazy(multiply_high),
    "mul": _function(tf.multiply),
    "neg": lazy(negative),
    "rem": lazy(remainder),
    "round": lazy(round_to_integer),
    "sign": lazy(sign),
    "square": _function(tf.square),
    "sub": _function(tf.subtract),
}
