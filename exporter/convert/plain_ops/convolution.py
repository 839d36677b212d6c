"""Convolutions in one, two and three dimensions: grouped, depthwise, dilated, transposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from exporter.convert.plain_ops.axes import reordered
from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.padding import padding_name
from exporter.convert.plain_ops.rule import Rule, Site, Value
from exporter.convert.plain_ops.shapes import pad_axes


def conv_general_dilated(site: Site, lhs: Value, rhs: Value) -> Value:
    """Convolves with the channels last, as TensorFlow's kernels take them."""
    params = site.params
    numbers = params["dimension_numbers"]
    spatial = len(params["window_strides"])
    if spatial > 3:
        raise UnsupportedForm(f"over {spatial} dimensions; up to 3 are supported")
    x = reordered(lhs, [numbers.lhs_spec[0], *numbers.lhs_spec[2:], numbers.lhs_spec[1]])
    kernel = reordered(rhs, [*numbers.rhs_spec[2:], numbers.rhs_spec[1], numbers.rhs_spec[0]])
    x_shape = [site.inputs[0].shape[axis] for axis in numbers.lhs_spec]
    x_shape = [x_shape[0], *x_shape[2:], x_shape[1]]
    computed = _computed_dtype(site.dtype, spatial)
    y = _by_parts(site, tf.cast(x, computed), tf.cast(kernel, computed), x_shape)
    back = [0] * (spatial + 2)
    for position, axis in enumerate(
        [numbers.out_spec[0], *numbers.out_spec[2:], numbers.out_spec[1]]
    ):
        back[axis] = position
    return reordered(tf.cast(y, site.dtype), back)


def _computed_dtype(dtype: tf.DType, spatial: int) -> tf.DType:
    """The dtype of the kernel: TensorFlow's take floats, and int32 in two dimensions."""
    if not dtype.is_integer:
        return dtype
    if dtype.size > 4 or dtype == tf.uint32:
        raise UnsupportedForm(f"of {dtype.name}: TensorFlow convolves int32 and floats")
    if spatial > 2:
        raise UnsupportedForm("of integers over 3 dimensions: TensorFlow convolves floats there")
    return tf.int32


def _by_parts(site: Site, x: Value, kernel: Value, shape: Sequence[Any]) -> Value:
    """Complex numbers by their parts, batch groups one by one, the rest at once."""
    if x.dtype.is_complex:
        real, imaginary = tf.math.real, tf.math.imag
        parts = [[_by_parts(site, a(x), b(kernel), shape) for b in (real, imaginary)]
                 for a in (real, imaginary)]  # fmt: skip
        (rr, ri), (ir, ii) = parts
        return tf.complex(rr - ii, ri + ir)
    params = site.params
    spatial = len(params["window_strides"])
    count = params["batch_group_count"]
    if count != 1:
        # Each part of the batch meets its own part of the output features.
        pairs = zip(tf.split(x, count, 0), tf.split(kernel, count, -1), strict=True)
        shape = [shape[0] // count, *shape[1:]]
        return tf.concat([_once(site, a, b, shape, spatial) for a, b in pairs], -1)
    return _once(site, x, kernel, shape, spatial)


def _once(site: Site, x: Value, kernel: Value, shape: Sequence[Any], spatial: int) -> Value:
    params = site.params
    x, padding = _pad(site, x, shape, kernel.shape[:spatial])
    strides, dilations = list(params["window_strides"]), list(params["rhs_dilation"])
    return _convolve(x, kernel, strides, padding, dilations, params["feature_group_count"])


def _pad(site: Site, x: Value, shape: Sequence[Any], kernel: Sequence[int]) -> tuple[Value, str]:
    """Leaves VALID and SAME to the kernel; other paddings and spread inputs come first."""
    params = site.params
    padding = [(low, high) for low, high in params["padding"]]
    spread = [d - 1 for d in params["lhs_dilation"]]
    if not any(spread):
        name = padding_name(
            shape[1:-1], kernel, params["window_strides"], params["rhs_dilation"], padding
        )
        if name:
            return x, name
    config = [(0, 0, 0), *((*p, s) for p, s in zip(padding, spread, strict=True)), (0, 0, 0)]
    return pad_axes(site, x, shape, tf.zeros((), x.dtype), config), "VALID"


def _convolve(
    x: Value,
    kernel: Value,
    strides: list[int],
    padding: str,
    dilations: list[int],
    groups: int,
) -> Value:
    if not strides:
        return tf.matmul(x, kernel)
    if len(strides) == 1:
        # One dimension is a second one of size 1: TensorFlow.js has no kernel for it alone.
        y = _convolve(
            tf.expand_dims(x, 1),
            tf.expand_dims(kernel, 0),
            [1, *strides] if strides[0] == 1 else strides * 2,
            padding,
            [1, *dilations],
            groups,
        )
        return tf.squeeze(y, 1)
    if groups == 1:
        return _plain(x, kernel, strides, padding, dilations)
    depthwise = kernel.shape[-2] == 1 and groups == x.shape[-1] and x.dtype.is_floating
    if depthwise and len(strides) == 2 and _depthwise_takes(strides, dilations):
        multiplier = kernel.shape[-1] // groups
        kernel = tf.reshape(kernel, [*kernel.shape[:2], groups, multiplier])
        return tf.nn.depthwise_conv2d(x, kernel, [1, *strides, 1], padding, dilations=dilations)
    parts = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([_plain(a, b, strides, padding, dilations) for a, b in parts], -1)


def _depthwise_takes(strides: list[int], dilations: list[int]) -> bool:
    """TensorFlow's kernel wants equal strides, and no strides beside dilations."""
    return strides[0] == strides[1] and (max(dilations) == 1 or max(strides) == 1)


def _plain(
    x: Value, kernel: Value, strides: list[int], padding: str, dilations: list[int]
) -> Value:
    convolve = tf.nn.conv2d if len(strides) == 2 else tf.nn.conv3d
    return convolve(x, kernel, [1, *strides, 1], padding, dilations=[1, *dilations, 1])


RULES = {"conv_general_dilated": Rule(conv_general_dilated)}
