"""A JAX function as a TensorFlow module: plain ops, variables, an open batch."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from exporter import naming
from exporter.errors import UserError
from exporter.lowering.dimensions import Dimensions, static_shape
from exporter.lowering.interpreter import Interpreter
from exporter.lowering.registry import rules
from exporter.model import Model, PyTree
from exporter.program import input_shapes, shape_of_parameter


class LoweredModule(tf.Module):
    """What `lower` makes of a model.

    Attributes:
        params: The parameters as variables, in dictionaries nested like their paths.
        input_names: The signature's inputs, in the order of `jax.tree.leaves`.
        output_names: The signature's outputs, likewise.
    """

    def __init__(
        self,
        name: str,
        params: dict[str, Any],
        call: Callable[[PyTree], PyTree],
        serve: Callable[..., dict[str, Any]],
        input_specs: Sequence[tf.TensorSpec],
        output_names: Sequence[str],
    ) -> None:
        super().__init__(re.sub(r"\W|^(?=\d)", "_", name))  # TensorFlow wants an identifier
        self.params = params
        self._call, self._serve = call, serve
        self._input_specs = {spec.name: spec for spec in input_specs}
        self.input_names = tuple(self._input_specs)
        self.output_names = tuple(output_names)

    @tf.function(autograph=False)
    def __call__(self, inputs: PyTree) -> PyTree:
        """Runs the model on its input pytree, and gives its output pytree."""
        return self._call(inputs)

    @functools.cached_property
    def signature(self) -> Any:
        """A concrete function of named tensors, which gives a dictionary of named tensors."""
        function = tf.function(self._serve, autograph=False)
        return function.get_concrete_function(**self._input_specs)


def lower(model: Model, *, portable: bool = False) -> LoweredModule:
    """Writes a model in plain TensorFlow ops, which need no XLA.

    Args:
        model: What to lower. Named dimensions of its inputs stay open.
        portable: Uses only ops that TensorFlow.js has too, where there is a choice.

    Returns:
        A module to call, to save (`save_lowered`) or to write for TensorFlow.js.

    Raises:
        UnsupportedPrimitive: one of the model's primitives can't be lowered.
        UserError: JAX can't trace the model for these inputs.
    """
    specs, structure = jax.tree.flatten(model.inputs)
    params, params_structure = jax.tree.flatten(model.params)
    kept = [_is_array(value) for value in params]
    arrays = [value for value, keep in zip(params, kept, strict=True) if keep]

    def flat(flat_arrays: list[Any], flat_inputs: list[Any]) -> PyTree:
        left = iter(flat_arrays)
        flat_params = [next(left) if k else v for v, k in zip(params, kept, strict=True)]
        inputs = structure.unflatten(flat_inputs)
        return model.func(params_structure.unflatten(flat_params), inputs)

    array_shapes = [shape_of_parameter(value) for value in arrays]
    try:
        jaxpr, outputs = jax.make_jaxpr(flat, return_shape=True)(array_shapes, input_shapes(specs))
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{model.name} can't be traced: {reason[0]}") from error

    every_path = naming.parameter_paths(model.params)
    paths = [path for path, keep in zip(every_path, kept, strict=True) if keep]
    variables = [
        tf.Variable(np.asarray(value, shape.dtype), trainable=False, name=name)
        for name, value, shape in zip(
            naming.variable_names(paths), arrays, array_shapes, strict=True
        )
    ]
    input_names = naming.input_names(model.inputs)
    output_names = naming.output_names(outputs)
    treedef = jax.tree.structure(outputs)
    tensor_specs = [
        tf.TensorSpec(static_shape(shape.shape), shape.dtype, name=name)
        for shape, name in zip(input_shapes(specs), input_names, strict=True)
    ]

    def interpret(tensors: Sequence[Any]) -> list[Any]:
        interpreter = Interpreter(rules(), Dimensions.of(specs, tensors), portable)
        parameters = [tf.convert_to_tensor(variable) for variable in variables]
        results = interpreter.run(jaxpr.jaxpr, jaxpr.consts, *parameters, *tensors)
        return [tf.convert_to_tensor(result) for result in results]

    def call(inputs: PyTree) -> PyTree:
        return treedef.unflatten(interpret(structure.flatten_up_to(inputs)))

    def serve(**tensors: Any) -> dict[str, Any]:
        results = interpret([tensors[name] for name in input_names])
        pairs = zip(output_names, results, strict=True)
        return {name: tf.identity(result, name=name) for name, result in pairs}

    params_tree = _nest(dict(zip(paths, variables, strict=True)))
    module = LoweredModule(model.name, params_tree, call, serve, tensor_specs, output_names)
    module.__call__.get_concrete_function(structure.unflatten(tensor_specs))
    return module


def _is_array(value: Any) -> bool:
    """Whether a parameter can be a variable; a random key can't."""
    return hasattr(value, "dtype") and not jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended)


def _nest(variables: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, variable in variables.items():
        inner = nested
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = variable
    return nested
