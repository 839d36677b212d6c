"""Arithmetic and functions of one element at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value, lazy


def _function(call: Callable[..., Value]) -> Rule:
    """A rule for a primitive whose TensorFlow namesake takes the same operands."""
    return lazy(lambda site, *operands: call(*operands))


def _tensorflow_only(call: Callable[..., Value]) -> Rule:
    """The same for ops that TensorFlow.js hasn't; the check of the graph names them."""
    return _function(call)


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


def maximum(site: Site, a: Value, b: Value) -> Value:
    """The larger; against zero it is a ReLU."""
    if site.dtype == tf.bool:
        return tf.logical_or(a, b)
    for x, floor in ((a, b), (b, a)):
        is_zero = isinstance(floor, np.ndarray) and floor.ndim == 0 and floor == 0
        if is_zero and tf.is_tensor(x) and site.dtype.is_floating:
            return tf.nn.relu(x)
    return tf.maximum(a, b)


def minimum(site: Site, a: Value, b: Value) -> Value:
    """The smaller."""
    return tf.logical_and(a, b) if site.dtype == tf.bool else tf.minimum(a, b)


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
    if not site.portable:
        return tf.raw_ops.Mod(x=a, y=b)
    remains = tf.math.floormod(a, b)
    zero = tf.zeros((), site.dtype)
    other_sign = tf.logical_and(tf.not_equal(remains, zero), (a < zero) != (b < zero))
    return tf.where(other_sign, remains - b, remains)


def power(site: Site, a: Value, b: Value) -> Value:
    """The exponent may be of another dtype than the base."""
    return tf.pow(a, tf.cast(b, site.dtype))


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


def complement_of_erf(site: Site, x: Value) -> Value:
    """TensorFlow.js has no Erfc; the difference is exact to an ulp of 1, not of the result."""
    return 1 - tf.math.erf(x) if site.portable else tf.math.erfc(x)


def cube_root(site: Site, x: Value) -> Value:
    """Neither TensorFlow nor TensorFlow.js has an op for it."""
    return tf.sign(x) * tf.pow(tf.abs(x), tf.constant(1 / 3, site.dtype))


def exponential_of_2(site: Site, x: Value) -> Value:
    """2 to the power of x."""
    return tf.pow(tf.constant(2, site.dtype), x)


def round_to_integer(site: Site, x: Value) -> Value:
    """Halves go to the even neighbour, or away from zero."""
    if int(site.params["rounding_method"]) == 1:
        return tf.round(x)
    size = tf.abs(x)
    whole = tf.floor(size)
    return tf.sign(x) * (whole + tf.cast(size - whole >= 0.5, site.dtype))


def clamp(site: Site, low: Value, x: Value, high: Value) -> Value:
    """Limits x from below and above."""
    return tf.minimum(tf.maximum(x, low), high)


def reduce_precision(site: Site, x: Value) -> Value:
    """Rounds through the dtype that has so many bits."""
    bits = (site.params["exponent_bits"], site.params["mantissa_bits"])
    through = {(8, 7): tf.bfloat16, (5, 10): tf.float16, (8, 23): tf.float32}.get(bits)
    if through is None:
        raise UnsupportedForm(f"{bits[0]} exponent and {bits[1]} mantissa bits are no dtype's")
    return tf.cast(tf.cast(x, through), site.dtype)


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


def _absolute(site: Site, x: Value) -> Value:
    return x if tf.as_dtype(x.dtype).is_unsigned else tf.abs(x)


def _exponential_less_1(site: Site, x: Value) -> Value:
    return tf.math.expm1(x)


def _complex(site: Site, real: Value, imaginary: Value) -> Any:
    return tf.complex(real, imaginary)


RULES = {
    "abs": lazy(_absolute),
    "acos": _function(tf.acos),
    "acosh": _function(tf.acosh),
    "add": lazy(add),
    "add_any": lazy(add),
    "asin": _function(tf.asin),
    "asinh": _function(tf.asinh),
    "atan": _function(tf.atan),
    "atan2": _function(tf.atan2),
    "atanh": _function(tf.atanh),
    "bessel_i0e": _tensorflow_only(tf.math.bessel_i0e),
    "bessel_i1e": _tensorflow_only(tf.math.bessel_i1e),
    "bitcast_convert_type": Rule(bitcast),
    "cbrt": lazy(cube_root),
    "ceil": _function(tf.math.ceil),
    "clamp": lazy(clamp),
    "complex": lazy(_complex),
    "conj": lazy(lambda site, x: tf.math.conj(tf.cast(x, site.dtype))),
    "convert_element_type": lazy(convert),
    "cos": _function(tf.cos),
    "cosh": _function(tf.cosh),
    "digamma": _tensorflow_only(tf.math.digamma),
    "div": lazy(divide),
    "erf": _function(tf.math.erf),
    "erf_inv": _tensorflow_only(tf.math.erfinv),
    "erfc": lazy(complement_of_erf),
    "exp": _function(tf.exp),
    "exp2": lazy(exponential_of_2),
    "expm1": lazy(_exponential_less_1),
    "floor": _function(tf.floor),
    "igamma": _tensorflow_only(tf.math.igamma),
    "igammac": _tensorflow_only(tf.math.igammac),
    "imag": _function(tf.math.imag),
    "integer_pow": lazy(integer_power),
    "lgamma": _tensorflow_only(tf.math.lgamma),
    "log": _function(tf.math.log),
    "log1p": _function(tf.math.log1p),
    "logistic": _function(tf.sigmoid),
    "max": lazy(maximum),
    "min": lazy(minimum),
    "mul": _function(tf.multiply),
    "neg": _function(tf.negative),
    "nextafter": _tensorflow_only(tf.math.nextafter),
    "polygamma": _tensorflow_only(tf.math.polygamma),
    "pow": lazy(power),
    "real": _function(tf.math.real),
    "reduce_precision": lazy(reduce_precision),
    "regularized_incomplete_beta": _tensorflow_only(tf.math.betainc),
    "rem": lazy(remainder),
    "round": lazy(round_to_integer),
    "rsqrt": _function(tf.math.rsqrt),
    "sign": _function(tf.sign),
    "sin": _function(tf.sin),
    "sinh": _function(tf.sinh),
    "sqrt": _function(tf.sqrt),
    "square": _function(tf.square),
    "sub": _function(tf.subtract),
    "tan": _function(tf.tan),
    "tanh": _function(tf.tanh),
    "zeta": _tensorflow_only(tf.math.zeta),
}
