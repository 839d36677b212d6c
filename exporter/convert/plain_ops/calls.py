"""Primitives that only run what they hold, or hand on what they get."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from exporter.convert.plain_ops.errors import UnsupportedForm
from exporter.convert.plain_ops.rule import Rule, Site, Value, lazy

_PLATFORM = "cpu"


def call(site: Site, *operands: Value) -> list[Value]:
    """Runs the jaxpr inside, whatever the parameter is called."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr", "call"):
        if name in site.params:
            inner = site.params[name]
            if hasattr(inner, "consts"):
                return site.run(inner.jaxpr, inner.consts, *operands)
            return site.run(inner, [], *operands)
    raise UnsupportedForm(f"holds no jaxpr, only {', '.join(site.params)}")


def hand_on(site: Site, *operands: Value) -> Sequence[Value]:
    """Nothing to compute: placement, names, barriers."""
    return operands


def drop(site: Site, *operands: Value) -> Sequence[Value]:
    """Prints and the like, which have no effect on an answer."""
    return []


def platform_index(site: Site) -> Value:
    """The branch of `lax.platform_dependent` for CPUs, or the default one."""
    for index, platforms in enumerate(site.params["platforms"]):
        if platforms is None or _PLATFORM in platforms:
            return index
    raise UnsupportedForm(f"no branch for {_PLATFORM}")


_CALLS = (
    "composite",
    "custom_jvp_call",
    "custom_partitioning",
    "custom_vjp_call",
    "custom_vmap_call",
    "jit",
    "remat2",
)
_HANDED_ON = (
    "copy",
    "device_put",
    "layout_constraint",
    "name",
    "optimization_barrier",
    "reshard",
    "sharding_constraint",
    "stop_gradient",
)
_DROPPED = ("inspect_sharding",)
# Equinox' and diffrax' own, which tell JAX's transformations what not to do.
_EQUINOX = ("nonbatchable", "nondifferentiable_backward", "nontraceable")

RULES = {
    **{name: Rule(call) for name in _CALLS},
    **{name: lazy(hand_on) for name in (*_HANDED_ON, *_EQUINOX)},
    **{name: Rule(drop) for name in _DROPPED},
    "platform_index": lazy(platform_index),
    "unvmap_all": Rule(lambda site, x: tf.reduce_all(x)),
    "unvmap_any": Rule(lambda site, x: tf.reduce_any(x)),
    "unvmap_max": Rule(lambda site, x: tf.reduce_max(x)),
}
