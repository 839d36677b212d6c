"""Tracing a signature's function: once for each batch size, or once for any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from jax import export

from exporter._compat.jax import (
    ClosedJaxpr,
    canonical_dtype,
    jaxprs_in_params,
    num_bytes,
    source_line,
)
from exporter.errors import UserError
from exporter.model import TensorSpec, naming
from exporter.model.dimensions import allowed
from exporter.model.entry import Entry
from exporter.model.parameters import shape_of_parameter
from exporter.trace.traced import Trace, TracedSignature, untraceable

_POLYMORPHIC = -1  # the batch size that stands for any
# Beside the serving batch size, a fixed export takes the test and the training batch size.
FIXED_BATCH_SIZES = (16, 128)
# Of arrays in the function itself: masks and tables, no weights.
_MOST_CONSTANT_BYTES = 1 << 24
_CALLBACKS = ("pure_callback", "io_callback", "debug_callback", "debug_print")


def trace(
    entry: Entry, serving_batch_size: int = _POLYMORPHIC, platforms: Sequence[str] = ("cpu",)
) -> TracedSignature:
    """Traces a signature's function for the batch sizes that an export takes.

    Args:
        entry: What to trace.
        serving_batch_size: N gives traces for N, 16 and 128; -1 one for any batch size.
        platforms: What they run on, such as `("cpu", "cuda")`.

    Raises:
        UserError: the function can't be traced, the message being JAX's; or it holds weights.
    """
    symbol = entry.batch_symbol
    if symbol is None or serving_batch_size == _POLYMORPHIC:
        sizes: list[int | None] = [None]
    else:
        sizes = [
            size
            for size in dict.fromkeys((serving_batch_size, *FIXED_BATCH_SIZES))
            if size == serving_batch_size or allowed({symbol: size}, entry.constraints)
        ]
    traces = [trace_size(entry, size, tuple(platforms)) for size in sizes]
    _check_constants(entry.label, traces[0].jaxpr)
    _check_callbacks(entry.label, traces[0].jaxpr.jaxpr)
    return TracedSignature(
        entry,
        tuple(traces),
        naming.output_names(traces[0].outputs),
        naming.parameter_paths(entry.params),
    )


def trace_size(entry: Entry, batch_size: int | None, platforms: tuple[str, ...]) -> Trace:
    """Traces a signature's function for one batch size, or for any (None).

    Raises:
        UserError: it can't be traced, the message being JAX's.
    """
    specs, structure = jax.tree.flatten(entry.inputs)
    params, params_structure = jax.tree.flatten(entry.params)
    outputs_structure: list[Any] = []

    def flat(flat_params: list[Any], flat_inputs: list[Any]) -> list[Any]:
        outputs = entry.func(
            params_structure.unflatten(flat_params), structure.unflatten(flat_inputs)
        )
        leaves, found = jax.tree.flatten(outputs)
        outputs_structure[:] = [found]
        return leaves

    flat.__name__ = entry.label
    known = {} if batch_size is None else {str(entry.batch_symbol): batch_size}
    param_shapes = [shape_of_parameter(value) for value in params]
    try:
        shapes = _input_shapes(specs, known, entry.constraints)
        # `exported` finds this trace in JAX's cache: the user's function runs once.
        jitted = jax.jit(flat)
        traced = jitted.trace(param_shapes, shapes)
    except Exception as error:
        raise untraceable(entry.label, batch_size, error) from error
    leaves = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in traced.out_info]
    outputs = outputs_structure[0].unflatten(leaves)
    return Trace(
        entry.label, batch_size, param_shapes, shapes, outputs, traced.jaxpr, platforms, jitted
    )


def _check_callbacks(label: str, jaxpr: Any) -> None:
    """Refuses calls back into Python, which JAX itself refuses in riddles where sizes are open."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in _CALLBACKS:
            raise UserError(
                f"{label} can't be traced for a server: it calls back into Python "
                f"({equation.primitive.name} at {source_line(equation)}); compute it in JAX, or "
                "leave it out"
            )
        for inner in jaxprs_in_params(equation.params):
            _check_callbacks(label, inner)


def _check_constants(label: str, jaxpr: ClosedJaxpr) -> None:
    """Refuses weights inside the function: each program and graph would carry a copy of them."""
    found = {id(array): array for array in _constants(jaxpr)}.values()
    total = sum(map(num_bytes, found))
    if total > _MOST_CONSTANT_BYTES:
        largest = max(found, key=num_bytes)
        raise UserError(
            f"{label}: the function holds {total / 1e6:.1f} MB of arrays of its own, the largest "
            f"{largest.dtype}{list(largest.shape)}; give them in params: a graph ends at 2 GB"
        )


def _constants(jaxpr: ClosedJaxpr) -> Iterator[Any]:
    yield from jaxpr.consts
    for equation in jaxpr.jaxpr.eqns:
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else [value]:
                if isinstance(inner, ClosedJaxpr):
                    yield from _constants(inner)


def _input_shapes(
    specs: Sequence[TensorSpec], sizes: Mapping[str, int], constraints: Sequence[str]
) -> list[jax.ShapeDtypeStruct]:
    """The inputs' shapes as JAX takes them.

    Named dimensions without a size stay symbolic, the same name meaning the same dimension in
    all inputs.
    """
    pins = [f"{name} == {size}" for name, size in sizes.items()]
    scope = export.SymbolicScope([*pins, *constraints])
    shapes = []
    for spec in specs:
        text = ",".join(str(sizes.get(str(size), size)) for size in spec.shape)
        shape = export.symbolic_shape(text, scope=scope)
        shapes.append(jax.ShapeDtypeStruct(shape, canonical_dtype(spec.dtype)))
    return shapes
