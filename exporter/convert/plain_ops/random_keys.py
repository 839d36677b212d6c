"""Random numbers from keys that are inputs, or made of inputs: JAX's own generators.

A key stands in the graph as the uint32 numbers behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import tensorflow as tf

from exporter._compat import jax_definitions
from exporter._compat.jax import bind
from exporter.convert.plain_ops.definitions import run
from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value

# What moves elements alone can move keys.
MOVES = frozenset(
    ("broadcast_in_dim", "concatenate", "dynamic_slice", "dynamic_update_slice", "gather", "pad")
    + ("reshape", "rev", "scatter", "select_n", "slice", "split", "squeeze", "stack", "tile")
    + ("transpose", "unstack")
)


def _move(site: Site, *operands: Value) -> Sequence[Value]:
    """Moves each of a key's numbers as an element of its own."""
    keyed = [len(own.shape) - len(spec.shape) for own, spec in _pairs(site)]
    function = partial(bind, site.primitive, site.params)
    for number in range(max(keyed)):
        axes = [-1 if number < more else None for more in keyed]
        function = jax.vmap(function, in_axes=axes, out_axes=-1)
    return run(site, function, *operands)


def _pairs(site: Site) -> Any:
    return zip(site.inputs, site.logical, strict=True)


MOVES_OF_KEYS = Rule(_move)


def wrap(site: Site, numbers: Value) -> Value:
    """Numbers are a key."""
    return numbers


def seed(site: Site, seeds: Value) -> Sequence[Value]:
    """Makes a key of a seed."""
    return run(site, partial(jax_definitions.random_seed, site.params["impl"]), seeds)


def split(site: Site, keys: Value) -> Sequence[Value]:
    """Makes several keys of each."""
    spec, shape = site.logical[0], site.params["shape"]
    function = partial(jax_definitions.random_split, spec.dtype, len(spec.shape), shape)
    return run(site, function, keys)


def fold_in(site: Site, keys: Value, messages: Value) -> Sequence[Value]:
    """Makes another key of a key and a number."""
    spec = site.logical[0]
    function = partial(jax_definitions.random_fold_in, spec.dtype, spec.shape)
    return run(site, function, keys, messages)


def bits(site: Site, keys: Value) -> Sequence[Value]:
    """Draws unsigned integers."""
    spec, width, shape = site.logical[0], site.params["bit_width"], site.params["shape"]
    function = partial(jax_definitions.random_bits, spec.dtype, len(spec.shape), width, shape)
    return run(site, function, keys)


def gamma(site: Site, keys: Value, shape: Value) -> Sequence[Value]:
    """Draws from a gamma distribution, as JAX defines it of a key."""
    function = jax_definitions.definition(site.primitive)
    if function is None:
        raise UnsupportedForm("this version of JAX leaves it to a compiler")
    dtype = site.logical[0].dtype

    def draw(numbers: Any, shape: Any) -> Any:
        return function(jax_definitions.wrap_key(numbers, dtype), shape, **site.params)

    return run(site, draw, keys, shape)


def count_of_64_bits(site: Site) -> Sequence[Value]:
    """Counts elements with the upper and the lower half of a 64-bit number."""
    sizes = site.sizes(site.params["shape"])
    count = tf.reshape(tf.range(tf.cast(tf.reduce_prod(sizes), tf.int64)), sizes)
    upper = tf.bitwise.right_shift(count, tf.constant(32, tf.int64))
    return tf.cast(upper, tf.uint32), tf.cast(count, tf.uint32)


RULES = {
    "iota_2x32_shape": Rule(count_of_64_bits),
    "random_bits": Rule(bits),
    "random_clone": Rule(wrap),
    "random_fold_in": Rule(fold_in),
    "random_gamma": Rule(gamma),
    "random_seed": Rule(seed),
    "random_split": Rule(split),
    "random_unwrap": Rule(wrap),
    "random_wrap": Rule(wrap),
}
