"""Functions of one element at a time: exponentials, roots, angles, and special ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from exporter.convert.plain_ops.rule import Rule, Site, Value, lazy

# By w and by sqrt(w), w = -log(1 - x²): M. Giles, "Approximating the erfinv function", 2010.
_ERF_INV_CENTRE = (
    (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087)
    + (-0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
)  # fmt: skip
_ERF_INV_TAIL = (
    (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773)
    + (-0.0076224613, 0.00943887047, 1.00167406, 2.83297682)
)  # fmt: skip


def _function(call: Callable[..., Value]) -> Rule:
    """A rule for a primitive whose TensorFlow namesake takes the same operand."""
    return lazy(lambda site, *operands: call(*operands))


def _odd(call: Callable[..., Value]) -> Rule:
    """The same where TensorFlow drops the sign of a zero, of which the function is a zero, too."""

    def apply(site: Site, x: Value) -> Value:
        return tf.where(tf.equal(x, tf.zeros((), x.dtype)), x, _in_float32(call)(site, x))

    return lazy(apply)


def _wide(call: Callable[..., Value]) -> Rule:
    """The same where TensorFlow has no kernel for halves."""
    return lazy(_in_float32(call))


def _in_float32(call: Callable[..., Value]) -> Callable[..., Value]:
    def apply(site: Site, *operands: Value) -> Value:
        if site.dtype.size >= 4:
            return call(*operands)
        return tf.cast(call(*(tf.cast(x, tf.float32) for x in operands)), site.dtype)

    return apply


def power(site: Site, a: Value, b: Value) -> Value:
    """The exponent may be of another dtype than the base."""
    result = tf.pow(a, tf.cast(b, site.dtype))
    if site.dtype.is_complex:
        # TensorFlow goes by the logarithm, which a zero hasn't.
        one = tf.ones((), site.dtype)
        return tf.where(tf.equal(b, tf.zeros((), b.dtype)), one, result)
    return result


def error_function(site: Site, x: Value) -> Value:
    """TensorFlow's of a large float64 is NaN; from 6 on it is 1."""
    if site.dtype == tf.float64:
        x = tf.minimum(tf.maximum(x, tf.constant(-10, x.dtype)), tf.constant(10, x.dtype))
    return tf.math.erf(x)


def complement_of_erf(site: Site, x: Value) -> Value:
    """TensorFlow.js has no Erfc; the difference is exact to an ulp of 1, not of the result."""
    if not site.portable:
        return tf.math.erfc(x)
    return tf.ones((), site.dtype) - error_function(site, x)


def inverse_of_erf(site: Site, x: Value) -> Value:
    """By a polynomial, as in XLA: TensorFlow's own loses digits near 0, and 0's sign."""
    if site.dtype == tf.float64:
        inverse = tf.math.erfinv(x)
        return tf.where(tf.equal(inverse, tf.zeros((), x.dtype)), x, inverse)
    x = tf.cast(x, tf.float32)
    w = -tf.math.log1p(-x * x)
    near = w < 5.0
    # Of ±1, whose w is infinite, the end is put in below.
    w = tf.where(near, w - 2.5, tf.sqrt(tf.maximum(w, 0.0)) - 3.0)
    series = None
    for centre, tail in zip(_ERF_INV_CENTRE, _ERF_INV_TAIL, strict=True):
        term = tf.where(near, np.float32(centre), np.float32(tail))
        series = term if series is None else term + series * w
    at_the_end = tf.equal(tf.abs(x), 1.0)
    return tf.cast(tf.where(at_the_end, x * np.float32(np.inf), series * x), site.dtype)


def cube_root(site: Site, x: Value) -> Value:
    """Neither TensorFlow nor TensorFlow.js has an op for it."""

    def root(x: Value) -> Value:
        return tf.sign(x) * tf.pow(tf.abs(x), tf.constant(1 / 3, x.dtype))

    zero = tf.zeros((), site.dtype)
    return tf.where(tf.equal(x, zero), x, _in_float32(root)(site, x))


def exponential_of_2(site: Site, x: Value) -> Value:
    """2 to the power of x, by way of e as in JAX."""
    return tf.exp(x * tf.cast(tf.constant(math.log(2), tf.float64), site.dtype))


RULES = {
    "acos": _function(tf.acos),
    "acosh": _function(tf.acosh),
    "asin": _function(tf.asin),
    "asinh": _function(tf.asinh),
    "atan": _function(tf.atan),
    "atan2": _function(tf.atan2),
    "atanh": _function(tf.atanh),
    "bessel_i1e": _odd(tf.math.bessel_i1e),
    "cbrt": lazy(cube_root),
    "cos": _function(tf.cos),
    "cosh": _function(tf.cosh),
    "digamma": _wide(tf.math.digamma),
    "erf": lazy(error_function),
    "erf_inv": lazy(inverse_of_erf),
    "erfc": lazy(complement_of_erf),
    "exp": _function(tf.exp),
    "exp2": lazy(exponential_of_2),
    "expm1": _function(tf.math.expm1),
    "lgamma": _wide(tf.math.lgamma),
    "log": _function(tf.math.log),
    "log1p": _function(tf.math.log1p),
    "logistic": _function(tf.sigmoid),
    "polygamma": _wide(tf.math.polygamma),
    "pow": lazy(power),
    "rsqrt": _function(tf.math.rsqrt),
    "sin": _function(tf.sin),
    "sinh": _function(tf.sinh),
    "sqrt": _function(tf.sqrt),
    "tan": _function(tf.tan),
    "tanh": _function(tf.tanh),
    "zeta": _wide(tf.math.zeta),
}
