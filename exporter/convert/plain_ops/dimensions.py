"""Symbolic dimensions, such as the batch: their names in JAX, their sizes in TensorFlow."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from jax import export

from exporter.model import TensorSpec

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "max": tf.maximum,
    "min": tf.minimum,
}
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Pow: lambda a, b: a**b,
}


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
    def of(cls, specs: Iterable[TensorSpec], tensors: Iterable[tf.Tensor]) -> Dimensions:
        """Reads the sizes off a call's inputs."""
        named: dict[str, Any] = {}
        for spec, tensor in zip(specs, tensors, strict=True):
            for axis, size in enumerate(spec.shape):
                if isinstance(size, str) and size not in named:
                    named[size] = tf.shape(tensor)[axis]
        return cls(named)

    def size(self, dimension: Any) -> Any:
        """Returns an integer, or the int32 scalar that a symbolic dimension amounts to.

        A dimension prints as an expression, `2*b + floordiv(s, 2)`, documented at
        https://docs.jax.dev/en/latest/export/shape_poly.html
        """
        if is_static(dimension):
            return int(dimension)
        return self._evaluate(ast.parse(str(dimension).replace("^", "**"), mode="eval").body)

    def sizes(self, shape: Sequence[Any]) -> list[Any]:
        """Returns the sizes of a shape."""
        return [self.size(dimension) for dimension in shape]

    def _evaluate(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                return self.named[name]
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._evaluate(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](self._evaluate(left), self._evaluate(right))
            case ast.Call(func=ast.Name(id=name), args=args):
                return _FUNCTIONS[name](*map(self._evaluate, args))
            case _:
                raise ValueError(f"dimension expression {ast.unparse(node)}")


def static_shape(shape: Sequence[Any]) -> tf.TensorShape:
    """Returns TensorFlow's static shape: None for each symbolic dimension."""
    return tf.TensorShape([int(size) if is_static(size) else None for size in shape])
