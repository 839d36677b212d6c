"""What moves, cuts, repeats and joins elements without changing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from exporter.convert.plain_ops.dimensions import is_static
from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value, lazy

# Dtypes that TensorFlow's Tile has no kernel for.
_NOT_TILED = (tf.uint16, tf.uint32, tf.uint64)


def transpose(site: Site, x: Value) -> Value:
    """Permutes axes."""
    return tf.transpose(x, list(site.params["permutation"]))


def squeeze(site: Site, x: Value) -> Value:
    """Drops axes of size 1."""
    return site.reshape(x, site.outputs[0].shape)


def concatenate(site: Site, *parts: Value) -> Value:
    """Joins along an axis."""
    return tf.concat(parts, site.params["dimension"])


def stack(site: Site, *parts: Value) -> Value:
    """Joins along a new axis."""
    axis = site.params["axis"]
    if site.dtype in _NOT_TILED:
        # TensorFlow's optimizer makes a Tile of a stack of one part.
        return tf.concat([tf.expand_dims(part, axis) for part in parts], axis)
    return tf.stack(parts, axis)


def unstack(site: Site, x: Value) -> Sequence[Value]:
    """Takes an axis apart."""
    return tf.unstack(x, len(site.outputs), site.params["axis"])


def tile(site: Site, x: Value) -> Value:
    """Repeats along axes."""
    reps = site.sizes(site.params["reps"])
    if site.dtype in _NOT_TILED:
        signed = tf.as_dtype(f"int{8 * site.dtype.size}")
        return tf.bitcast(tf.tile(tf.bitcast(x, signed), reps), site.dtype)
    return tf.tile(x, reps)


def split(site: Site, x: Value) -> Sequence[Value]:
    """Cuts along an axis."""
    return tf.split(x, site.sizes(site.params["sizes"]), site.params["axis"])


def slice_(site: Site, x: Value) -> Value:
    """Cuts out a block, with strides."""
    shape = site.inputs[0].shape
    index = []
    bounds = zip(
        site.params["start_indices"],
        site.params["limit_indices"],
        site.params["strides"] or (1,) * len(shape),
        shape,
        strict=True,
    )
    for start, limit, stride, size in bounds:
        to_the_end = not is_static(limit) and limit == size
        stop = None if to_the_end else site.dimensions.size(limit)
        index.append(slice(site.dimensions.size(start), stop, int(stride)))
    return tf.convert_to_tensor(x)[tuple(index)]


def reverse(site: Site, x: Value) -> Value:
    """Turns axes around."""
    return tf.reverse(x, list(site.params["dimensions"]))


def pad(site: Site, x: Value, value: Value) -> Value:
    """Pads the edges, cuts them where the width is negative, and spreads elements."""
    return pad_axes(site, x, site.inputs[0].shape, value, site.params["padding_config"])


def pad_axes(
    site: Site, x: Value, shape: Sequence[Any], value: Value, config: Sequence[tuple[Any, Any, int]]
) -> Value:
    """Pads as `jax.lax.pad` does.

    Args:
        site: The equation.
        x: What to pad.
        shape: Its shape, possibly symbolic.
        value: A scalar to pad with.
        config: For each axis: the widths before, after and between elements.
    """
    spread = list(shape)
    for axis, (_, _, between) in enumerate(config):
        if between:
            x = _spread(site, x, spread, axis, int(between), value)
            spread[axis] = (spread[axis] - 1) * (between + 1) + 1
    widths = [(site.dimensions.size(low), site.dimensions.size(high)) for low, high, _ in config]
    if not all(isinstance(width, int) for pair in widths for width in pair):
        raise UnsupportedForm("by a symbolic width")
    if any(width > 0 for pair in widths for width in pair):
        x = tf.pad(x, [(max(low, 0), max(high, 0)) for low, high in widths], constant_values=value)
    if any(width < 0 for pair in widths for width in pair):
        x = x[tuple(slice(max(-low, 0), min(high, 0) or None) for low, high in widths)]
    return x


def _spread(
    site: Site, x: Value, shape: Sequence[Any], axis: int, between: int, value: Value
) -> Value:
    """Puts so many copies of a value between neighbours, by way of an axis of its own."""
    apart = [*shape[: axis + 1], 1, *shape[axis + 1 :]]
    widths = [(0, between if i == axis + 1 else 0) for i in range(len(apart))]
    x = tf.pad(site.reshape(x, apart), widths, constant_values=value)
    x = site.reshape(x, [*shape[:axis], shape[axis] * (between + 1), *shape[axis + 1 :]])
    return x[(slice(None),) * axis + (slice(0, -between),)]


def iota(site: Site) -> Value:
    """Counts along an axis; the other axes are left to broadcasting."""
    (size,) = site.sizes([site.params["shape"][site.params["dimension"]]])
    count = tf.cast(tf.range(size), site.dtype)
    after = len(site.params["shape"]) - site.params["dimension"] - 1
    return tf.reshape(count, [-1] + [1] * after)


def zeros(site: Site, *_: Value) -> Value:
    """What JAX leaves empty is zero, too, on the CPU."""
    return tf.zeros(site.sizes(site.outputs[0].shape), site.dtype)


def dim_as_value(site: Site) -> Value:
    """The size of a symbolic dimension, as a number."""
    return tf.cast(site.dimensions.size(site.params["dim"]), site.dtype)


RULES = {
    "concatenate": Rule(concatenate),
    "dim_as_value": lazy(dim_as_value),
    "empty": Rule(zeros),
    "iota": lazy(iota),
    "pad": Rule(pad),
    "rev": Rule(reverse),
    "slice": Rule(slice_),
    "split": Rule(split),
    "squeeze": Rule(squeeze),
    "stack": Rule(stack),
    "tile": Rule(tile),
    "transpose": Rule(transpose),
    "unstack": Rule(unstack),
}
