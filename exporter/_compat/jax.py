"""JAX's unstable parts: jaxprs and dtypes.

`jax.extend` may change from one release to the next:
https://docs.jax.dev/en/latest/jax.extend.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from jax.extend import core, source_info_util

from exporter._compat.frames import is_users

__all__ = [
    "ClosedJaxpr",
    "Jaxpr",
    "Literal",
    "bind",
    "canonical_dtype",
    "evaluate",
    "jaxprs_in_params",
    "line_of",
    "num_bytes",
    "scan_counts",
    "source_line",
]

_MOST_FRAMES = 1000  # of a traceback

ClosedJaxpr = core.ClosedJaxpr
Jaxpr = core.Jaxpr
Literal = core.Literal


def jaxprs_in_params(params: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the jaxprs inside an equation's parameters, without their constants."""
    # JAX has its own since 0.10.
    for value in params.values():
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, core.ClosedJaxpr):
                yield each.jaxpr
            elif isinstance(each, core.Jaxpr):
                yield each


def scan_counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """Returns how many of a `scan`'s operands are constants of its body, and how many its carry."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carry, _ = params["ft_in"].unpack()  # since 0.11
    return len(consts), len(carry)


def evaluate(equation: Any, values: Sequence[Any]) -> list[Any]:
    """Returns the outputs of one equation of a jaxpr for values of its inputs."""
    return bind(equation.primitive, equation.params, *values)


def bind(primitive: Any, equation_params: Mapping[str, Any], *values: Any) -> list[Any]:
    """Applies a primitive to values, with the parameters that it has in an equation."""
    bound = primitive.get_bind_params(equation_params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)  # a pair before 0.9.2
    results = primitive.bind(*functions, *values, **params)
    return list(results) if primitive.multiple_results else [results]


def source_line(equation: Any) -> str:
    """Returns the line of the user's code that an equation comes from: `file:line (function)`.

    It is the innermost line that is the user's own; where all are a library's, the innermost one;
    empty where JAX knows none.
    """
    frames = str(source_info_util.summarize(equation.source_info, _MOST_FRAMES)).splitlines()
    own = [frame for frame in frames if is_users(frame.partition(":")[0])]
    return (own or frames or [""])[-1]


def line_of(primitive: str, jaxpr: Any, called_at: str = "") -> str | None:
    """Returns the line of the user's code where a primitive is used first.

    Functions of JAX that are jitted know no line of the user's; then it is that of their call.

    Args:
        primitive: Its name.
        jaxpr: Where it is looked for.
        called_at: The line of the jaxpr's own call.

    Returns:
        The line, empty where JAX knows none; None where the primitive isn't used.
    """
    for equation in jaxpr.eqns:
        line = source_line(equation) or called_at
        if equation.primitive.name == primitive:
            return line
        for inner in jaxprs_in_params(equation.params):
            found = line_of(primitive, inner, line)
            if found is not None:
                return found
    return None


def num_bytes(constant: Any) -> int:
    """Returns the size of a jaxpr's constant; 0 of what is no array."""
    # A kind of array that JAX has for literals knows no `nbytes`.
    if not hasattr(constant, "dtype"):
        return 0
    return int(math.prod(constant.shape) * constant.dtype.itemsize)


def canonical_dtype(dtype: Any) -> Any:
    """Returns the NumPy dtype that JAX computes with: float32 for float64, unless x64 is on."""
    return jax.dtypes.canonicalize_dtype(dtype)
