"""Primitives that only run what they hold, or hand on what they get."""

from __future__ import annotations

from collections.abc import Sequence

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


def platform_index(site: Site) -> Value:
    """The branch of `lax.platform_dependent` for CPUs, or the default one."""
    for index, platforms in enumerate(site.params["platforms"]):
        if platforms is None or _PLATFORM in platforms:
            return index
    raise UnsupportedForm(f"no branch for {_PLATFORM}")


_CALLS = (
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vmap_call",
    "jit",
    "remat2",
)
_HANDED_ON = (
    "copy",
    "device_put",
    "name",
    "optimization_barrier",
    "sharding_constraint",
    "stop_gradient",
)

RULES = {
    **{name: Rule(call) for name in _CALLS},
    **{name: lazy(hand_on) for name in _HANDED_ON},
    "platform_index": lazy(platform_index),
}
