"""JAX's unstable parts: jaxprs, MLIR and dtypes.

`jax.extend` may change from one release to the next:
https://docs.jax.dev/en/latest/jax.extend.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
from jax.extend import core, source_info_util
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import stablehlo

__all__ = [
    "ClosedJaxpr",
    "Literal",
    "canonical_dtype",
    "ir",
    "jaxprs_in_params",
    "source_line",
    "stablehlo",
]

ClosedJaxpr = core.ClosedJaxpr
Literal = core.Literal


def jaxprs_in_params(params: Any) -> Iterable[Any]:
    """Returns the jaxprs inside an equation's parameters, without their constants."""
    found: Iterable[Any] = core.jaxprs_in_params(params)
    return found


def source_line(equation: Any) -> str:
    """Returns the line of the user's code that an equation comes from: `file:line (function)`."""
    return str(source_info_util.summarize(equation.source_info))


def canonical_dtype(dtype: Any) -> Any:
    """Returns the NumPy dtype that JAX computes with: float32 for float64, unless x64 is on."""
    return jax.dtypes.canonicalize_dtype(dtype)
