"""Reductions over sliding windows: pooling."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from exporter.convert.plain_ops.dimensions import is_static
from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.logic import is_nan
from exporter.convert.plain_ops.padding import padding_name
from exporter.convert.plain_ops.rule import Rule, Site, Value
from exporter.convert.plain_ops.shapes import pad_axes


def _windowed(
    combine: Callable[[Value, Value], Value],
    identity: Callable[[np.dtype], Any],
    pool: Callable[[Site, Value, str], Value] | None,
) -> Rule:
    def reduce(site: Site, x: Value) -> Value:
        params = site.params
        padding = [(low, high) for low, high in params["padding"]]
        shape = site.inputs[0].shape
        fill = np.asarray(identity(np.dtype(site.outputs[0].dtype)), site.outputs[0].dtype)
        if pool and _is_image_pooling(site):
            inner = slice(1, -1)
            name = padding_name(
                shape[inner],
                params["window_dimensions"][inner],
                params["window_strides"][inner],
                params["window_dilation"][inner],
                padding[inner],
            )
            # An average leaves padding out of its count, so a sum can't be had from it by SAME.
            if name == "VALID" or (name == "SAME" and pool is _max_pool):
                return pool(site, x, name)
            x = pad_axes(site, x, shape, fill, [(*pair, 0) for pair in padding])
            return pool(site, x, "VALID")
        spread = [d - 1 for d in params["base_dilation"]]
        config = [(*pair, between) for pair, between in zip(padding, spread, strict=True)]
        x = pad_axes(site, x, shape, fill, config)
        return _by_slices(site, x, combine)

    return Rule(reduce)


def _is_image_pooling(site: Site) -> bool:
    """Whether pooling kernels take it: floats, [batch, height, width, channels], plain windows."""
    params = site.params
    window = params["window_dimensions"]
    return (
        tf.as_dtype(site.inputs[0].dtype).is_floating
        and len(window) == 4
        and window[0] == window[3] == 1
        and params["window_strides"][0] == params["window_strides"][3] == 1
        and set(params["window_dilation"]) == set(params["base_dilation"]) == {1}
        and all(tuple(params["padding"][axis]) == (0, 0) for axis in (0, 3))
    )


def _max_pool(site: Site, x: Value, padding: str) -> Value:
    """TensorFlow's kernel passes over NaN, and of nothing but -inf it makes the lowest number.

    An average of what is no number, the rest being 0, tells such windows.
    """
    window, strides = site.params["window_dimensions"], site.params["window_strides"]
    largest = tf.nn.max_pool2d(x, window, strides, padding)
    if site.portable:
        return largest
    lowest, zero = tf.constant(x.dtype.min, x.dtype), tf.zeros((), x.dtype)
    odd = tf.nn.avg_pool2d(tf.where(x >= lowest, zero, x), window, strides, padding)
    wrong = tf.logical_or(is_nan(odd), tf.logical_and(odd < lowest, largest <= lowest))
    return tf.where(wrong, odd, largest)


def _sum_pool(site: Site, x: Value, padding: str) -> Value:
    params = site.params
    window = params["window_dimensions"]
    average = tf.nn.avg_pool2d(x, window, params["window_strides"], padding)
    return average * tf.constant(math.prod(window), site.dtype)


def _min_pool(site: Site, x: Value, padding: str) -> Value:
    return -_max_pool(site, -x, padding)


def _by_slices(site: Site, x: Value, combine: Callable[[Value, Value], Value]) -> Value:
    """Combines one strided slice of the padded input for each place in the window."""
    params = site.params
    places = itertools.product(*(range(width) for width in params["window_dimensions"]))
    slices = [
        x[
            tuple(
                map(
                    _strided,
                    place,
                    params["window_dilation"],
                    params["window_strides"],
                    site.outputs[0].shape,
                    params["window_dimensions"],
                )
            )
        ]
        for place in places
    ]
    return functools.reduce(combine, slices)


def _strided(place: int, dilation: int, stride: int, size: Any, width: int) -> slice:
    if width == 1 and stride == 1:
        return slice(None)
    if not is_static(size):
        raise UnsupportedForm(f"over an axis of symbolic size {size}")
    start = place * dilation
    return slice(start, start + (int(size) - 1) * stride + 1, stride)


def _lowest(dtype: np.dtype) -> Any:
    return -np.inf if tf.as_dtype(dtype).is_floating else tf.as_dtype(dtype).min


def _highest(dtype: np.dtype) -> Any:
    return np.inf if tf.as_dtype(dtype).is_floating else tf.as_dtype(dtype).max


RULES = {
    "reduce_window_max": _windowed(tf.maximum, _lowest, _max_pool),
    "reduce_window_min": _windowed(tf.minimum, _highest, _min_pool),
    "reduce_window_sum": _windowed(tf.add, lambda dtype: 0, _sum_pool),
}
