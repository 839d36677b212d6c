"""A model's function in plain TensorFlow ops, of flat parameters and inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import tensorflow as tf

from exporter.convert.plain_ops.dimensions import Dimensions
from exporter.convert.plain_ops.interpreter import Interpreter
from exporter.convert.plain_ops.registry import rules
from exporter.errors import UserError
from exporter.model import Model, PyTree, TensorSpec
from exporter.trace.trace import input_shapes, shape_of_parameter


@dataclass(frozen=True)
class LoweredFunction:
    """What to run inside a TensorFlow graph; each call writes the ops once more.

    Attributes:
        jaxpr: The traced function of the parameters that are arrays, then of the inputs.
        specs: The flat inputs; dimensions that have a name are open.
        shapes: The same as JAX takes them.
        outputs: The output pytree, of `jax.ShapeDtypeStruct`.
        portable: Whether only ops that TensorFlow.js has are used, where there is a choice.
    """

    jaxpr: Any
    specs: Sequence[TensorSpec]
    shapes: Sequence[jax.ShapeDtypeStruct]
    outputs: PyTree
    portable: bool = False

    def __call__(self, parameters: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """Returns the flat outputs for flat tensors.

        Raises:
            UnsupportedPrimitive: one of the primitives can't be lowered.
        """
        interpreter = Interpreter(rules(), Dimensions.of(self.specs, inputs), self.portable)
        arguments = [tf.convert_to_tensor(parameter) for parameter in parameters]
        results = interpreter.run(self.jaxpr.jaxpr, self.jaxpr.consts, *arguments, *inputs)
        return [tf.convert_to_tensor(result) for result in results]


def trace(
    model: Model, sizes: Mapping[str, int] | None = None, *, portable: bool = False
) -> LoweredFunction:
    """Traces a model's function, to be lowered.

    Args:
        model: What to trace.
        sizes: Of its named dimensions; those that are not here stay open.
        portable: Uses only ops that TensorFlow.js has too, where there is a choice.

    Raises:
        UserError: JAX can't trace the model for these inputs.
    """
    sizes = sizes or {}
    specs, structure = jax.tree.flatten(model.inputs)
    params, params_structure = jax.tree.flatten(model.params)
    kept = [is_array(value) for value in params]
    arrays = [value for value, keep in zip(params, kept, strict=True) if keep]

    def flat(flat_arrays: list[Any], flat_inputs: list[Any]) -> PyTree:
        left = iter(flat_arrays)
        flat_params = [next(left) if k else v for v, k in zip(params, kept, strict=True)]
        inputs = structure.unflatten(flat_inputs)
        return model.func(params_structure.unflatten(flat_params), inputs)

    shapes = input_shapes(specs, sizes, model.constraints)
    try:
        jaxpr, outputs = jax.make_jaxpr(flat, return_shape=True)(
            [shape_of_parameter(value) for value in arrays], shapes
        )
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{model.name} can't be traced: {reason[0]}") from error
    closed = [
        TensorSpec(tuple(sizes.get(str(size), size) for size in spec.shape), spec.dtype)
        for spec in specs
    ]
    return LoweredFunction(jaxpr, closed, shapes, outputs, portable)


def is_array(value: Any) -> bool:
    """Tells whether a parameter can be a variable; a random key can't."""
    return hasattr(value, "dtype") and not jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended)
