"""A JAX function as a TensorFlow module: plain ops, variables, an open batch."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from exporter.convert.plain_ops.dimensions import static_shape
from exporter.convert.plain_ops.function import is_array, trace
from exporter.model import Model, PyTree, naming
from exporter.trace.trace import shape_of_parameter


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
    lowered = trace(model, portable=portable)
    values = jax.tree.leaves(model.params)
    arrays = {
        path: value
        for path, value in zip(naming.parameter_paths(model.params), values, strict=True)
        if is_array(value)
    }
    paths = list(arrays)
    variables = [
        tf.Variable(np.asarray(value, shape_of_parameter(value).dtype), trainable=False, name=name)
        for name, value in zip(naming.variable_names(paths), arrays.values(), strict=True)
    ]
    input_names = naming.input_names(model.inputs)
    output_names = naming.output_names(lowered.outputs)
    structure, treedef = jax.tree.structure(model.inputs), jax.tree.structure(lowered.outputs)
    tensor_specs = [
        tf.TensorSpec(static_shape(shape.shape), shape.dtype, name=name)
        for shape, name in zip(lowered.shapes, input_names, strict=True)
    ]

    def call(inputs: PyTree) -> PyTree:
        return treedef.unflatten(lowered(variables, structure.flatten_up_to(inputs)))

    def serve(**tensors: Any) -> dict[str, Any]:
        results = lowered(variables, [tensors[name] for name in input_names])
        pairs = zip(output_names, results, strict=True)
        return {name: tf.identity(result, name=name) for name, result in pairs}

    params_tree = _nest(dict(zip(paths, variables, strict=True)))
    module = LoweredModule(model.name, params_tree, call, serve, tensor_specs, output_names)
    module.__call__.get_concrete_function(structure.unflatten(tensor_specs))
    return module


def _nest(variables: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, variable in variables.items():
        inner = nested
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = variable
    return nested
