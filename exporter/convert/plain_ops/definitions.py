"""Primitives that are written in other primitives: by JAX itself, or here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax

from exporter._compat.jax_definitions import definition
from exporter.convert.plain_ops import written_in_jax
from exporter.convert.plain_ops.errors import UnsupportedForm, UnsupportedPrimitive
from exporter.convert.plain_ops.rule import Rule, Site, Value


def defined_as(function: Callable[..., Any]) -> Rule:
    """A rule for a primitive that a JAX function of its operands and parameters stands for."""
    return Rule(lambda site, *operands: run(site, partial(function, **site.params), *operands))


def run(site: Site, function: Callable[..., Any], *operands: Value) -> list[Value]:
    """Traces a JAX function for an equation's operands, and runs what comes of it."""
    traced = jax.make_jaxpr(function)(*site.inputs)
    try:
        return site.run(traced.jaxpr, traced.consts, *operands)
    except UnsupportedPrimitive as error:
        # This trace has lines of its own; the equation's is the user's.
        raise UnsupportedPrimitive(error.primitive, error.reason, "") from None


def _as_jax_defines_it(site: Site, *operands: Value) -> Sequence[Value]:
    function = definition(site.primitive)
    if function is None:
        raise UnsupportedForm("this version of JAX leaves it to a compiler")
    return run(site, partial(function, **site.params), *operands)


_BY_JAX = (
    "bessel_i0e",
    "cholesky_update",
    "custom_linear_solve",
    "igamma",
    "igamma_grad_a",
    "igammac",
    "linear_call",
    "lu",
    "lu_pivots_to_permutation",
    "philox2x32",
    "philox4x32",
    "ragged_dot_general",
    "regularized_incomplete_beta",
    "select_and_gather_add",
    "select_if_vmap",
    "symmetric_product",
    "threefry2x32",
    "threefry4x32",
    "tridiagonal_solve",
)

RULES = {
    **{name: Rule(_as_jax_defines_it) for name in _BY_JAX},
    **{name: defined_as(function) for name, function in written_in_jax.FUNCTIONS.items()},
}
