"""The primitives that functions use, and those that JAX itself knows."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.extend

from exporter._compat.jax import jaxprs_in_params


def used(function: Callable[..., Any], arrays: Sequence[Any]) -> set[str]:
    """Returns the names of the primitives in a function and in what it holds."""
    return set(_names(jax.make_jaxpr(function)(*arrays).jaxpr))


def known() -> set[str]:
    """Returns the names of the primitives that this process has defined so far."""
    return {each.name for each in gc.get_objects() if isinstance(each, jax.extend.core.Primitive)}


def _names(jaxpr: Any) -> Iterator[str]:
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in jaxprs_in_params(equation.params):
            yield from _names(inner)
