"""A model as programs: `jax.export` of lists of arrays, for one batch size each or for any.

Both the SavedModel's graph and the version's `.jax_export` files are made from these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax import export

from exporter import naming
from exporter.errors import UserError
from exporter.model import Model, PyTree, TensorSpec
from exporter.options import POLYMORPHIC

# Beside the serving batch size, a fixed export takes the test and the training batch size.
FIXED_BATCH_SIZES = (16, 128)


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
        UserError: the function can't be traced; the message is JAX's.
    """
    specs, structure = jax.tree.flatten(model.inputs)
    symbol = batch_symbol(specs)
    if symbol is None or serving_batch_size == POLYMORPHIC:
        sizes: list[int | None] = [None]
    else:
        sizes = list(dict.fromkeys((serving_batch_size, *FIXED_BATCH_SIZES)))
    params, params_structure = jax.tree.flatten(model.params)
    param_shapes = [shape_of_parameter(value) for value in params]

    def flat(flat_params: list[Any], flat_inputs: list[Any]) -> list[Any]:
        inputs = structure.unflatten(flat_inputs)
        return jax.tree.leaves(model.func(params_structure.unflatten(flat_params), inputs))

    def nested(flat_params: list[Any], flat_inputs: list[Any]) -> PyTree:
        return model.func(params_structure.unflatten(flat_params), structure.unflatten(flat_inputs))

    flat.__name__ = model.name
    programs = []
    try:
        for size in sizes:
            shapes = input_shapes(specs, {} if size is None else {str(symbol): size})
            exported = export.export(jax.jit(flat), platforms=tuple(platforms))(
                param_shapes, shapes
            )
            programs.append(Program(exported, size))
        outputs = jax.eval_shape(nested, param_shapes, shapes)
    except Exception as error:
        size_text = "any batch size" if size is None else f"batch size {size}"
        raise UserError(
            f"{model.name} can't be traced for {size_text}: {_first_line(error)}"
        ) from error
    return Traced(
        tuple(programs),
        naming.input_names(model.inputs),
        specs,
        naming.output_names(outputs),
        outputs,
        naming.parameter_paths(model.params),
    )


def batch_symbol(specs: Sequence[TensorSpec]) -> str | None:
    """Returns the name of the first input's open leading dimension, if there is one."""
    leading = [spec.shape[0] for spec in specs if spec.shape]
    return next((size for size in leading if isinstance(size, str)), None)


def shape_of_parameter(value: Any) -> jax.ShapeDtypeStruct:
    """Returns a parameter's shape, and its dtype as JAX takes it (float64 is float32 in JAX)."""
    return jax.eval_shape(jax.numpy.asarray, value)


def input_shapes(
    specs: Sequence[TensorSpec], sizes: Mapping[str, int] | None = None
) -> list[jax.ShapeDtypeStruct]:
    """Returns the inputs' shapes as JAX takes them.

    Args:
        specs: The flat inputs.
        sizes: Of named dimensions; those that are not here stay symbolic, the same name meaning
            the same dimension in all inputs.
    """
    sizes = sizes or {}
    scope = export.SymbolicScope()
    shapes = []
    for spec in specs:
        text = ",".join(str(sizes.get(str(size), size)) for size in spec.shape)
        shape = export.symbolic_shape(text, scope=scope)
        dtype = jax.dtypes.canonicalize_dtype(spec.dtype)
        shapes.append(jax.ShapeDtypeStruct(shape, dtype))
    return shapes


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
