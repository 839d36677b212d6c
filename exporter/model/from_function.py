"""A model from a function, its parameters and examples of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from exporter.errors import UserError
from exporter.model.model import Examples, Model, PyTree, TensorSpec

_BATCH = "b"


def model_from_function(
    name: str, func: Callable[[PyTree, PyTree], PyTree], params: PyTree, inputs: PyTree
) -> Model:
    """Makes a model of a function, its parameters and its inputs.

    Example:
        model = model_from_function("my_model", func, params, np.zeros((1, 28, 28, 1)))

    Args:
        name: The model's name in the server.
        func: Pure function `(params, inputs) -> outputs`.
        params: Pytree of arrays.
        inputs: Pytree of examples (arrays), shapes (`jax.ShapeDtypeStruct`) or `TensorSpec`s.
            The leading axis of the first array or shape is taken for the batch, and of all others
            that are as long; `TensorSpec`s say themselves what is open.

    Raises:
        UserError: there are no inputs, or they are none of these.
    """
    leaves, structure = jax.tree.flatten(inputs)
    if not leaves:
        raise UserError(
            f"{name}: no example inputs; give an array or a shape for what func takes, such as "
            "jax.ShapeDtypeStruct((1, 28, 28, 1), 'float32')"
        )
    shapes = [_shape(name, leaf) for leaf in leaves]
    lengths = [
        shape[0]
        for shape, leaf in zip(shapes, leaves, strict=True)
        if shape and isinstance(shape[0], int) and not isinstance(leaf, TensorSpec)
    ]
    specs = [
        leaf if isinstance(leaf, TensorSpec) else _spec(leaf, shape, lengths[:1])
        for leaf, shape in zip(leaves, shapes, strict=True)
    ]
    examples = None
    if not any(isinstance(leaf, TensorSpec | jax.ShapeDtypeStruct) for leaf in leaves):
        arrays = [np.asarray(a, s.dtype) for a, s in zip(leaves, specs, strict=True)]
        examples = Examples(structure.unflatten(arrays))
    return Model(name, func, params, structure.unflatten(specs), examples)


def _shape(name: str, leaf: Any) -> tuple[int | str, ...]:
    if isinstance(leaf, TensorSpec | jax.ShapeDtypeStruct):
        return tuple(size if isinstance(size, int) else str(size) for size in leaf.shape)
    try:
        return tuple(jax.numpy.asarray(leaf).shape)
    except (TypeError, ValueError):
        raise UserError(
            f"{name}: an input is a {type(leaf).__name__}; give arrays, jax.ShapeDtypeStructs or "
            "exporter.TensorSpecs in the structure that func takes"
        ) from None


def _spec(leaf: Any, shape: tuple[int | str, ...], length: Sequence[int | str]) -> TensorSpec:
    dtype = jax.dtypes.canonicalize_dtype(getattr(leaf, "dtype", None) or np.asarray(leaf).dtype)
    is_batched = bool(shape) and [*shape[:1]] == [*length]  # a number has no axis
    return TensorSpec((_BATCH, *shape[1:]) if is_batched else shape, dtype.name)
