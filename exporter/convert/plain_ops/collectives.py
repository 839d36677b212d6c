"""Programs over a mesh of one device, where collectives have nobody to speak to."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from exporter.convert.plain_ops.calls import call, hand_on
from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value, lazy


def shard_map(site: Site, *operands: Value) -> Sequence[Value]:
    """Runs the function: on one device, its shard is the whole."""
    mesh = site.params["mesh"]
    if mesh.size != 1:
        raise UnsupportedForm(
            f"over {mesh.size} devices: a served model runs on one; export it with a mesh of one"
        )
    return call(site, *operands)


def reduce_over_axes(site: Site, *operands: Value) -> Sequence[Value]:
    """A mesh axis has one member; those with numbers are axes of the array."""
    if any(isinstance(axis, int) for axis in site.params["axes"]):
        raise UnsupportedForm("over an axis of the array: use jnp.sum, jnp.max or jnp.min")
    return operands


def gather_all(site: Site, x: Value) -> Value:
    """One member's own, with an axis of size 1 where they aren't tiled."""
    return site.reshape(x, site.outputs[0].shape)


def permute(site: Site, x: Value) -> Value:
    """Sends to itself, or nothing at all: then zeros arrive."""
    return x if site.params["perm"] else tf.zeros_like(x)


_REDUCTIONS = ("pmax", "pmin", "psum", "psum_invariant")
_GATHERS = ("all_gather", "all_to_all", "reduce_scatter")

RULES = {
    **{name: lazy(reduce_over_axes) for name in _REDUCTIONS},
    **{name: Rule(gather_all) for name in _GATHERS},
    "axis_index": lazy(lambda site: tf.zeros((), site.dtype)),
    "ppermute": Rule(permute),
    "pvary": lazy(hand_on),
    "shard_map": Rule(shard_map),
}
