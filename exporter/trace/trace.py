"""A model as programs: `jax.export` of lists of arrays, for one batch size each or for any.

Both the SavedModel's graph and the version's `.jax_export` files are made from these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax import export
from jax.extend import core

from exporter.errors import UserError
from exporter.model import Model, PyTree, TensorSpec, naming, user_frame
from exporter.model.dimensions import allowed, batch_symbol
from exporter.publish.options import POLYMORPHIC

# Beside the serving batch size, a fixed export takes the test and the training batch size.
FIXED_BATCH_SIZES = (16, 128)
# Of arrays in the function itself: masks and tables, no weights.
_MOST_CONSTANT_BYTES = 1 << 24


@dataclass(frozen=True)
class Program:
    """A traced model.

    Attributes:
        exported: `(list of parameters, list of inputs) -> list of outputs`, serializable.
        batch_size: The batch size that it takes; None: any.
    """

    exported: export.Exported
    batch_size: int | None


@dataclass(frozen=True)
class Traced:
    """A model's programs, with the names and structures of what goes in and comes out.

    Attributes:
        programs: The serving batch size's first; one alone where the batch is polymorphic.
        input_names: In the programs' order, as are the other lists.
        input_specs: One a flat input.
        outputs: The output pytree, of `jax.ShapeDtypeStruct`.
        parameter_paths: For example `("conv1", "kernel")`.
    """

    programs: tuple[Program, ...]
    input_names: list[str]
    input_specs: list[TensorSpec]
    output_names: list[str]
    outputs: PyTree
    parameter_paths: list[tuple[str, ...]]

    @property
    def serving(self) -> Program:
        """The program behind the signature."""
        return self.programs[0]

    @property
    def fixed_batch_sizes(self) -> list[int]:
        """What batch sizes there are programs for, the serving one first; none: any size."""
        return [p.batch_size for p in self.programs if p.batch_size is not None]

    @property
    def batch_symbol(self) -> str | None:
        """The name of the open batch dimension; None where the model has none."""
        return batch_symbol(self.input_specs)


def trace(model: Model, serving_batch_size: int, platforms: Sequence[str]) -> Traced:
    """Traces a model for the batch sizes that an export takes.

    Args:
        model: What to trace.
        serving_batch_size: N gives programs for N, 16 and 128; -1 one for any batch size.
        platforms: What the programs run on, such as `("cpu", "cuda")`.

    Raises:
        UserError: the function can't be traced, the message being JAX's; or it holds weights.
    """
    specs, structure = jax.tree.flatten(model.inputs)
    symbol = batch_symbol(specs)
    if symbol is None or serving_batch_size == POLYMORPHIC:
        sizes: list[int | None] = [None]
    else:
        sizes = [
            size
            for size in dict.fromkeys((serving_batch_size, *FIXED_BATCH_SIZES))
            if size == serving_batch_size or allowed({symbol: size}, model.constraints)
        ]
    params, params_structure = jax.tree.flatten(model.params)
    param_shapes = [shape_of_parameter(value) for value in params]

    def flat(flat_params: list[Any], flat_inputs: list[Any]) -> list[Any]:
        inputs = structure.unflatten(flat_inputs)
        return jax.tree.leaves(model.func(params_structure.unflatten(flat_params), inputs))

    def nested(flat_params: list[Any], flat_inputs: list[Any]) -> PyTree:
        return model.func(params_structure.unflatten(flat_params), structure.unflatten(flat_inputs))

    flat.__name__ = model.name
    programs: list[Program] = []
    try:
        for size in sizes:
            known = {} if size is None else {str(symbol): size}
            shapes = input_shapes(specs, known, model.constraints)
            if not programs:
                jaxpr, outputs = jax.make_jaxpr(nested, return_shape=True)(param_shapes, shapes)
                _check_constants(model.name, jaxpr)
            exported = export.export(jax.jit(flat), platforms=tuple(platforms))(
                param_shapes, shapes
            )
            programs.append(Program(exported, size))
    except UserError:
        raise
    except Exception as error:
        size_text = "any batch size" if size is None else f"batch size {size}"
        raise UserError(
            f"{model.name} can't be traced for {size_text}: {user_frame.describe(error)}"
        ) from error
    return Traced(
        tuple(programs),
        naming.input_names(model.inputs),
        specs,
        naming.output_names(outputs),
        outputs,
        naming.parameter_paths(model.params),
    )


def _check_constants(name: str, jaxpr: core.ClosedJaxpr) -> None:
    """Refuses weights inside the function: each program and graph would carry a copy of them."""
    found = {id(array): array for array in _constants(jaxpr)}.values()
    total = sum(array.nbytes for array in found)
    if total > _MOST_CONSTANT_BYTES:
        largest = max(found, key=lambda array: array.nbytes)
        raise UserError(
            f"{name}: the function holds {total / 1e6:.1f} MB of arrays of its own, the largest "
            f"{largest.dtype}{list(largest.shape)}; give them in params: a graph ends at 2 GB"
        )


def _constants(jaxpr: core.ClosedJaxpr) -> Iterator[Any]:
    yield from (array for array in jaxpr.consts if hasattr(array, "nbytes"))
    for equation in jaxpr.jaxpr.eqns:
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else [value]:
                if isinstance(inner, core.ClosedJaxpr):
                    yield from _constants(inner)


def shape_of_parameter(value: Any) -> jax.ShapeDtypeStruct:
    """Returns a parameter's shape, and its dtype as JAX takes it (float64 is float32 in JAX)."""
    return jax.eval_shape(jax.numpy.asarray, value)


def input_shapes(
    specs: Sequence[TensorSpec],
    sizes: Mapping[str, int] | None = None,
    constraints: Sequence[str] = (),
) -> list[jax.ShapeDtypeStruct]:
    """Returns the inputs' shapes as JAX takes them.

    Args:
        specs: The flat inputs.
        sizes: Of named dimensions; those that are not here stay symbolic, the same name meaning
            the same dimension in all inputs.
        constraints: What the named dimensions keep to.
    """
    sizes = sizes or {}
    pins = [f"{name} == {size}" for name, size in sizes.items()]
    scope = export.SymbolicScope([*pins, *constraints])
    shapes = []
    for spec in specs:
        text = ",".join(str(sizes.get(str(size), size)) for size in spec.shape)
        shape = export.symbolic_shape(text, scope=scope)
        dtype = jax.dtypes.canonicalize_dtype(spec.dtype)
        shapes.append(jax.ShapeDtypeStruct(shape, dtype))
    return shapes
