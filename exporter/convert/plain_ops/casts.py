"""Changes of dtype, and of a number's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from exporter.convert.plain_ops.rule import Rule, Site, Value, lazy

_SIGNS = {"bfloat16": (8, 7), "float16": (5, 10), "float32": (8, 23), "float64": (11, 52)}


def convert(site: Site, x: Value, *_: Value) -> Value:
    """Casts; where an integer can't hold a float, by XLA's rule."""
    if tf.as_dtype(x.dtype).is_floating and site.dtype.is_integer:
        return _to_integer(x, site.dtype)
    return tf.cast(x, site.dtype)


def _to_integer(x: Value, dtype: Any) -> Value:
    """What is out of range becomes the end of the range, and NaN 0; `tf.cast` leaves both open.

    So does https://openxla.org/stablehlo/spec#convert; this is what JAX gives on the CPU.
    """
    x = tf.convert_to_tensor(x)
    if x.dtype.size < 4:
        x = tf.cast(x, tf.float32)
    floats = x.dtype.as_numpy_dtype
    highest = floats(dtype.max)
    if int(highest) > dtype.max:
        highest = np.nextafter(highest, floats(0))  # the last float that the integer holds
    number = tf.where(tf.math.is_nan(x), floats(0), x)
    inside = tf.cast(tf.minimum(tf.maximum(number, floats(dtype.min)), highest), dtype)
    if int(highest) == dtype.max:
        return inside
    return tf.where(x > highest, tf.constant(dtype.max, dtype), inside)


def bitcast(site: Site, x: Value) -> Value:
    """Reads the same bits as another dtype."""
    return tf.bitcast(x, site.dtype)


def reduce_precision(site: Site, x: Value) -> Value:
    """Rounds to so many bits: through the dtype that has them, or bit by bit."""
    bits = (site.params["exponent_bits"], site.params["mantissa_bits"])
    own = _SIGNS[site.dtype.name]
    if bits[0] >= own[0] and bits[1] >= own[1]:
        return x
    through = {(8, 7): tf.bfloat16, (5, 10): tf.float16, (8, 23): tf.float32}.get(bits)
    if through is None:
        return _rounded(x, site.dtype, own, bits)
    return tf.cast(tf.cast(x, through), site.dtype)


def _rounded(x: Value, dtype: Any, own: tuple[int, int], bits: tuple[int, int]) -> Value:
    """Halves of the last bit kept go to the even neighbour; too large is infinite, too small 0.

    Subnormal numbers of the narrower format are 0, too:
    https://openxla.org/stablehlo/spec#reduce_precision
    """
    whole = tf.as_dtype(f"uint{8 * dtype.size}")
    integer = whole.as_numpy_dtype
    number = tf.bitcast(x, whole)
    sign_bit = integer(1 << (8 * dtype.size - 1))
    sign = tf.bitwise.bitwise_and(number, sign_bit)
    size = tf.bitwise.bitwise_and(number, integer(sign_bit - 1))
    dropped = own[1] - bits[1]
    if dropped > 0:
        half = integer((1 << (dropped - 1)) - 1)
        last = tf.bitwise.bitwise_and(
            tf.bitwise.right_shift(size, tf.constant(dropped, whole)), integer(1)
        )
        kept = integer((int(sign_bit) - 1) & ~((1 << dropped) - 1))
        size = tf.bitwise.bitwise_and(size + half + last, kept)
    if bits[0] < own[0]:
        bias, narrow = (1 << (own[0] - 1)) - 1, (1 << (bits[0] - 1)) - 1
        largest = integer(((bias + narrow + 1) << own[1]) - 1)
        smallest = integer((bias - narrow + 1) << own[1])
        infinity = integer(((1 << own[0]) - 1) << own[1])
        size = tf.where(size > largest, infinity, size)
        size = tf.where(size < smallest, integer(0), size)
    rounded = tf.bitcast(tf.bitwise.bitwise_or(size, sign), dtype)
    return tf.where(tf.math.is_nan(x), x, rounded)


def next_after(site: Site, x: Value, towards: Value) -> Value:
    """The neighbour of x; TensorFlow has no kernel for halves, whose bits are counted instead."""
    if site.dtype.size >= 4:
        return tf.math.nextafter(x, towards)
    whole = tf.int16
    zero = tf.zeros((), site.dtype)
    x = tf.convert_to_tensor(x)
    up = tf.where(tf.equal(x, zero), tf.greater(towards, zero), tf.greater(towards, x))
    bits = tf.bitcast(x, whole)
    away = tf.equal(up, tf.greater(x, zero))
    stepped = tf.bitcast(tf.where(away, bits + 1, bits - 1), site.dtype)
    least = tf.bitcast(tf.constant(1, whole), site.dtype)
    stepped = tf.where(tf.equal(x, zero), tf.where(up, least, -least), stepped)
    stepped = tf.where(tf.equal(x, towards), towards, stepped)
    undefined = tf.logical_or(tf.math.is_nan(x), tf.math.is_nan(towards))
    return tf.where(undefined, tf.constant(np.nan, site.dtype), stepped)


def conjugate(site: Site, x: Value) -> Value:
    """A real number becomes complex."""
    return tf.math.conj(tf.cast(x, site.dtype))


RULES = {
    "bitcast_convert_type": Rule(bitcast),
    "complex": lazy(lambda site, real, imaginary: tf.complex(real, imaginary)),
    "conj": lazy(conjugate),
    "convert_element_type": lazy(convert),
    "imag": lazy(lambda site, x: tf.math.imag(x)),
    "nextafter": lazy(next_after),
    "real": lazy(lambda site, x: tf.math.real(x)),
    "reduce_precision": lazy(reduce_precision),
}
