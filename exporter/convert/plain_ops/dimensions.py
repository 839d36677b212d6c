"""Symbolic dimensions, such as the batch: their names in JAX, their sizes in TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import tensorflow as tf
from jax import export

from exporter.model.expressions import FUNCTIONS, Functions, evaluate

_FUNCTIONS: Functions = FUNCTIONS | {"max": tf.maximum, "min": tf.minimum}


def is_static(size: Any) -> bool:
    """Tells an integer from a symbolic dimension."""
    return not export.is_symbolic_dim(size)


@dataclass(frozen=True)
class Dimensions:
    """The sizes that the named dimensions have in a call.

    Attributes:
        named: An int32 scalar for each name.
    """

    named: Mapping[str, Any]

    @classmethod
    def of(cls, shapes: Iterable[jax.ShapeDtypeStruct], tensors: Iterable[Any]) -> Dimensions:
        """Reads the sizes off a call's inputs, which have these shapes in JAX."""
        named: dict[str, Any] = {}
        for shape, tensor in zip(shapes, tensors, strict=True):
            for axis, size in enumerate(shape.shape):
                if not is_static(size) and str(size) not in named:
                    named[str(size)] = tf.shape(tensor)[axis]
        return cls(named)

    def size(self, dimension: Any) -> Any:
        """Returns an integer, or the int32 scalar that a symbolic dimension amounts to."""
        if is_static(dimension):
            return int(dimension)
        return evaluate(str(dimension), self.named, _FUNCTIONS)

    def sizes(self, shape: Sequence[Any]) -> list[Any]:
        """Returns the sizes of a shape."""
        return [self.size(dimension) for dimension in shape]


def static_shape(shape: Sequence[Any]) -> tf.TensorShape:
    """Returns TensorFlow's static shape: None for each symbolic dimension."""
    return tf.TensorShape([int(size) if is_static(size) else None for size in shape])
