"""Outputs whose answer at the edges is an algorithm's own, and not the function's."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.trace.dependence import behind_outputs
from exporter.trace.traced import TracedSignature

# Compiled for the CPU, the larger of NaN and a number is NaN in one fusion and the number in
# another: `jax.jit` itself answers otherwise than JAX does without it.
_DROP_NAN = frozenset(
    (
        "clamp",
        "cummax",
        "cummin",
        "max",
        "min",
        "reduce_max",
        "reduce_min",
        "reduce_window",
        "reduce_window_max",
        "reduce_window_min",
        "select_and_scatter_add",
    )
)
# Sums by algorithms of a runtime's own, through which infinities and NaN spread as those have it:
# a fast convolution transforms neighbours together.
_ORDERED = frozenset(("conv_general_dilated", "cumprod", "cumsum", "fft"))
# The vectors of a matrix without full rank are one choice of many.
_DECOMPOSED = frozenset(
    ("eig", "eigh", "geqrf", "householder_product", "lu", "qr", "schur", "svd", "tridiagonal")
)
_COMPLEX = frozenset(("complex64", "complex128"))


@dataclass(frozen=True)
class Fragile:
    """Outputs, by their names.

    Attributes:
        dropping_nan: Compiled JAX may drop NaN there.
        ordered: Whatever is infinite or NaN there is an algorithm's.
        decomposed: A matrix without full rank has many answers there.
    """

    dropping_nan: frozenset[str] = frozenset()
    ordered: frozenset[str] = frozenset()
    decomposed: frozenset[str] = frozenset()


def fragile_outputs(traced: TracedSignature) -> Fragile:
    """Finds them in a signature's program."""
    found = behind_outputs(traced.serving.jaxpr.jaxpr)
    behind = dict(zip(traced.output_names, found, strict=True))
    return Fragile(
        frozenset(name for name, b in behind.items() if b.primitives & _DROP_NAN),
        frozenset(n for n, b in behind.items() if b.primitives & _ORDERED or b.dtypes & _COMPLEX),
        frozenset(name for name, b in behind.items() if b.primitives & _DECOMPOSED),
    )
