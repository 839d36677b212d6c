"""What a program's outputs depend on, followed through its equations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp

from exporter._compat.jax import Literal, jaxprs_in_params

_LOOP = "while"


@dataclass
class Behind:
    """What an output of a program is made of.

    Attributes:
        dtypes: The floating dtypes of the numbers, by their names.
        primitives: The operations, by their names.
    """

    dtypes: set[str] = field(default_factory=set)
    primitives: set[str] = field(default_factory=set)


def behind_outputs(jaxpr: Any) -> list[Behind]:
    """Returns what each output of a jaxpr is made of.

    An equation with programs inside, such as a loop, counts as a whole.
    """
    made_by = {var: equation for equation in jaxpr.eqns for var in equation.outvars}
    return [_behind(var, made_by) for var in jaxpr.outvars]


def has_open_loop(jaxpr: Any, is_input: Sequence[bool]) -> bool:
    """Tells whether the length of a loop hangs on some inputs of a jaxpr.

    Args:
        jaxpr: The program.
        is_input: For each of its arguments, whether it is one of those inputs.
    """
    return _follow(jaxpr, list(is_input))[1]


def _behind(output: Any, made_by: dict[Any, Any]) -> Behind:
    found = Behind()
    seen: set[int] = set()
    waiting = [output]
    while waiting:
        var = waiting.pop()
        found.dtypes |= _dtype_names([var])
        equation = None if isinstance(var, Literal) else made_by.get(var)
        if equation is None or id(equation) in seen:
            continue
        seen.add(id(equation))
        waiting += equation.invars
        found.primitives.add(equation.primitive.name)
        for inner in _inside(equation):
            for each in inner.eqns:
                found.dtypes |= _dtype_names([*each.invars, *each.outvars])
                found.primitives.add(each.primitive.name)
    return found


def _inside(equation: Any) -> Iterator[Any]:
    for inner in jaxprs_in_params(equation.params):
        yield inner
        for each in inner.eqns:
            yield from _inside(each)


def _dtype_names(variables: Sequence[Any]) -> set[str]:
    dtypes = [getattr(var.aval, "dtype", None) for var in variables]
    return {d.name for d in dtypes if d is not None and jnp.issubdtype(d, jnp.inexact)}


def _follow(jaxpr: Any, tainted: list[bool]) -> tuple[list[bool], bool]:
    """Which outputs depend on the tainted arguments, and whether a loop's length does."""
    found = dict(zip(jaxpr.invars, tainted, strict=True))
    is_open = False

    def is_tainted(var: Any) -> bool:
        return not isinstance(var, Literal) and found.get(var, False)

    for equation in jaxpr.eqns:
        given = [is_tainted(var) for var in equation.invars]
        outputs = [any(given)] * len(equation.outvars)
        if equation.primitive.name == _LOOP:
            outputs, opened = _follow_loop(equation.params, given)
            is_open |= opened
        else:
            for inner in jaxprs_in_params(equation.params):
                # Operands and arguments are in another order here and there: all or none.
                is_open |= _follow(inner, [any(given)] * len(inner.invars))[1]
                if len(inner.invars) == len(given) and equation.primitive.name in ("jit", "pjit"):
                    outputs, opened = _follow(inner, given)
        found.update(zip(equation.outvars, outputs, strict=True))
    return [is_tainted(var) for var in jaxpr.outvars], is_open


def _follow_loop(params: Any, given: list[bool]) -> tuple[list[bool], bool]:
    """As `_follow`, of a `while`: what its state depends on after any number of rounds."""
    condition, body = params["cond_jaxpr"].jaxpr, params["body_jaxpr"].jaxpr
    start = params["cond_nconsts"] + params["body_nconsts"]
    of_condition, of_body = given[: params["cond_nconsts"]], given[params["cond_nconsts"] : start]
    state, is_open = given[start:], False
    while True:
        after, opened = _follow(body, [*of_body, *state])
        is_open |= opened
        merged = [one or other for one, other in zip(state, after, strict=True)]
        if merged == state:
            break
        state = merged
    (decides,), opened = _follow(condition, [*of_condition, *state])
    return ([True] * len(state) if decides else state), is_open or opened or decides
