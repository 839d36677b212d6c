"""Primitives as JAX functions of simpler ones, where neither TensorFlow nor JAX has them so.

Each takes the primitive's operands and, by name, its parameters.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from exporter._compat.jax_definitions import function_of

Combine = Callable[[list[Any], list[Any]], list[Any]]


def reduce(*operands: Any, jaxpr: Any, dimensions: Sequence[int], **_: Any) -> list[Any]:
    """A reduction by any function: neighbours are combined until one element is left."""
    count = len(operands) // 2
    combine = _combination(jaxpr)
    rest = [axis for axis in range(operands[0].ndim) if axis not in dimensions]
    size = math.prod(operands[0].shape[axis] for axis in dimensions)
    shape = [operands[0].shape[axis] for axis in rest]
    xs = [lax.transpose(x, [*dimensions, *rest]).reshape(size, *shape) for x in operands[:count]]
    neutral = [jnp.broadcast_to(x, shape) for x in operands[count:]]
    while size > 1:
        pairs = size // 2
        combined = combine([x[: 2 * pairs : 2] for x in xs], [x[1 : 2 * pairs : 2] for x in xs])
        xs = [jnp.concatenate([y, x[2 * pairs :]]) for x, y in zip(xs, combined, strict=True)]
        size -= pairs
    return combine(neutral, [x[0] for x in xs]) if size else neutral


def reduce_window(
    *operands: Any,
    jaxpr: Any,
    consts: Sequence[Any] = (),
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    base_dilation: Sequence[int],
    window_dilation: Sequence[int],
    **_: Any,
) -> list[Any]:
    """The same over sliding windows: one strided slice for each place in the window."""
    count = len(operands) // 2
    combine = _combination(jaxpr, consts)
    spread = [d - 1 for d in base_dilation]
    config = [(low, high, s) for (low, high), s in zip(padding, spread, strict=True)]
    padded = [
        lax.pad(x, neutral, config)
        for x, neutral in zip(operands[:count], operands[count:], strict=True)
    ]
    slices = [
        [window_slice(x, place, window_dimensions, window_strides, window_dilation) for x in padded]
        for place in places(window_dimensions)
    ]
    start = [jnp.broadcast_to(x, slices[0][0].shape) for x in operands[count:]]
    return functools.reduce(combine, slices, start)


def places(window: Sequence[int]) -> list[tuple[int, ...]]:
    """Returns the places in a window, the last axis running fastest."""
    return list(itertools.product(*(range(width) for width in window)))


def window_slice(
    x: Any,
    place: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int] | None = None,
) -> Any:
    """Returns the element at one place of all windows."""
    dilation = dilation or [1] * len(place)
    start = [at * d for at, d in zip(place, dilation, strict=True)]
    spans = [(width - 1) * d for width, d in zip(window, dilation, strict=True)]
    limit = [size - span + first for size, span, first in zip(x.shape, spans, start, strict=True)]
    return lax.slice(x, start, limit, strides)


def select_and_scatter_add(
    source: Any,
    operand: Any,
    *,
    select_prim: Any,
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
) -> Any:
    """The gradient of max pooling: each window's number goes to where its first extremum is."""
    largest = select_prim.name == "ge"
    worst = np.array(-np.inf if largest else np.inf, operand.dtype)
    config = [(low, high, 0) for low, high in padding]
    padded = lax.pad(operand, worst, config)
    best, chosen = None, None
    for number, place in enumerate(places(window_dimensions)):
        x = window_slice(padded, place, window_dimensions, window_strides)
        if best is None:
            best, chosen = x, jnp.zeros(x.shape, jnp.int32)
            continue
        kept = select_prim.bind(best, x)
        best, chosen = lax.select(kept, best, x), jnp.where(kept, chosen, number)
    total = jnp.zeros(padded.shape, operand.dtype)
    for number, place in enumerate(places(window_dimensions)):
        share = jnp.where(chosen == number, source, jnp.zeros((), source.dtype))
        total += _spread(share, place, padded.shape, window_strides)
    start = [low for low, _ in padding]
    limit = [low + size for low, size in zip(start, operand.shape, strict=True)]
    return lax.slice(total, start, limit)


def _spread(x: Any, place: Sequence[int], shape: Sequence[Any], strides: Sequence[int]) -> Any:
    """Undoes `window_slice`: zeros elsewhere."""
    config = []
    for size, whole, first, stride in zip(x.shape, shape, place, strides, strict=True):
        covered = (size - 1) * stride + 1 if stride > 1 else size
        config.append((first, whole - first - covered, stride - 1))
    return lax.pad(x, np.zeros((), x.dtype), config)


def cholesky(x: Any, **_: Any) -> Any:
    """The lower factor, column by column; NaN where a matrix isn't positive definite.

    TensorFlow fails the whole call there. As in LAPACK, the upper triangle isn't looked at.
    """
    size = x.shape[-1]
    rows = jnp.arange(size)

    def column(number: Any, factor: Any) -> Any:
        row = lax.dynamic_index_in_dim(factor, number, -2, keepdims=False)
        own = lax.dynamic_index_in_dim(x, number, -1, keepdims=False)
        own = own - jnp.einsum("...ij,...j->...i", factor, jnp.conj(row))
        pivot = jnp.real(lax.dynamic_index_in_dim(own, number, -1))
        own = jnp.where(rows >= number, own / jnp.sqrt(pivot).astype(x.dtype), 0)
        return lax.dynamic_update_index_in_dim(factor, own, number, -1)

    factor = lax.fori_loop(0, size, column, jnp.zeros_like(x))
    pivots = jnp.real(jnp.diagonal(factor, axis1=-2, axis2=-1))
    definite = jnp.all(pivots > 0, axis=-1)[..., None, None]
    return jnp.where(definite, factor, jnp.array(np.nan, x.dtype))


def _combination(jaxpr: Any, consts: Sequence[Any] = ()) -> Combine:
    """Returns a jaxpr of scalars as a function of two lists of arrays."""
    run = function_of(jaxpr, consts)

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        function = run
        for _ in range(a[0].ndim):
            function = jax.vmap(function)
        return list(function(*a, *b))

    return combine


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cholesky": cholesky,
    "reduce": reduce,
    "reduce_window": reduce_window,
    "select_and_scatter_add": select_and_scatter_add,
}
