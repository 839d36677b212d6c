"""A model's parameters as TensorFlow variables, nested as in JAX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from exporter._compat.tensorflow import borrowed_tensor
from exporter.model import PyTree, naming
from exporter.model.parameters import shape_of_parameter


def make_variables(
    params: PyTree, paths: Sequence[tuple[str, ...]], *, trainable: bool
) -> list[Any]:
    """Makes a variable of each parameter, named by its path.

    They are on the CPU, whichever other devices TensorFlow has in this process.

    Args:
        params: Pytree of arrays.
        paths: Of its leaves, such as `("conv1", "kernel")`.
        trainable: Whether those of floats are trainable.
    """
    variables = []
    cpu = tf.config.list_logical_devices("CPU")[0].name
    for name, value in zip(naming.variable_names(paths), jax.tree.leaves(params), strict=True):
        dtype = shape_of_parameter(value).dtype
        # A big model would be there three times if TensorFlow copied it.
        tensor = borrowed_tensor(np.asarray(value).astype(dtype, copy=False), cpu)
        is_float = jax.numpy.issubdtype(dtype, jax.numpy.floating)
        with tf.device(cpu):
            variable = tf.Variable(tensor, trainable=trainable and bool(is_float), name=name)
        variables.append(variable)
    return variables


def nest(params: PyTree, variables: Mapping[tuple[str, ...], Any]) -> PyTree:
    """Nests variables as their paths say: lists stay lists, all else becomes dictionaries.

    TensorFlow tracks dictionaries with string keys and lists.
    """
    if isinstance(params, list | tuple) and not hasattr(params, "_fields"):
        keys = [str(i) for i in range(len(params))]
        children = [_subtree(variables, key) for key in keys]
        pairs = zip(params, children, strict=True)
        return [nest(param, child) for param, child in pairs]
    if () in variables:
        return variables[()]
    keys = list(dict.fromkeys(path[0] for path in variables))
    if isinstance(params, Mapping):
        inner = {str(key): value for key, value in params.items()}
    else:
        inner = {}
    return {key: nest(inner.get(key), _subtree(variables, key)) for key in keys}


def _subtree(variables: Mapping[tuple[str, ...], Any], key: str) -> dict[tuple[str, ...], Any]:
    return {path[1:]: value for path, value in variables.items() if path and path[0] == key}
