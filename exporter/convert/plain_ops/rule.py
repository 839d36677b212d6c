"""A rule: how one JAX primitive is written in TensorFlow ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import tensorflow as tf

from exporter.convert.plain_ops.dimensions import Dimensions, is_static

# A tf.Tensor, or a NumPy array where the value doesn't depend on the model's inputs or parameters.
Value = Any


class RunJaxpr(Protocol):
    """Runs a jaxpr inside a rule, as control flow and calls need."""

    def __call__(self, jaxpr: Any, consts: Sequence[Value], *args: Value) -> list[Value]:
        """Returns the jaxpr's results, each of its full shape."""


@dataclass(frozen=True)
class Site:
    """One equation, as its rule sees it.

    Attributes:
        primitive: JAX's own object.
        params: Its parameters.
        logical: Shape and dtype of each operand, random keys being elements.
        inputs: Shape and dtype of each operand; symbolic dimensions are expressions. Random keys
            are the numbers behind them, uint32 along more axes.
        outputs: The same of each result.
        dimensions: Gives symbolic dimensions their size.
        portable: Whether only ops that TensorFlow.js has may be used.
        run: Runs an inner jaxpr.
    """

    primitive: Any
    params: Mapping[str, Any]
    logical: Sequence[jax.ShapeDtypeStruct]
    inputs: Sequence[jax.ShapeDtypeStruct]
    outputs: Sequence[jax.ShapeDtypeStruct]
    dimensions: Dimensions
    portable: bool
    run: RunJaxpr

    @property
    def dtype(self) -> Any:
        """The dtype of the first result."""
        return tf.as_dtype(self.outputs[0].dtype)

    def sizes(self, shape: Sequence[Any]) -> list[Any]:
        """Returns a shape's sizes: integers, and int32 scalars for symbolic dimensions."""
        return self.dimensions.sizes(shape)

    def reshape(self, x: Value, shape: Sequence[Any]) -> Value:
        """Reshapes; one symbolic dimension needs no arithmetic on shapes."""
        symbolic = [size for size in shape if not is_static(size)]
        if len(symbolic) == 1 and 0 not in shape:
            return tf.reshape(x, [int(size) if is_static(size) else -1 for size in shape])
        return tf.reshape(x, self.sizes(shape))


Apply = Callable[..., "Value | Sequence[Value]"]


@dataclass(frozen=True)
class Rule:
    """How a primitive is lowered.

    Attributes:
        apply: `(site, *operands) -> result or results`.
        lazy: Whether operands may have fewer or shorter axes than their shape says, to be
            broadcast by NumPy's rules. Others get them in full.
    """

    apply: Apply
    lazy: bool = False


def lazy(apply: Apply) -> Rule:
    """A rule whose ops broadcast by themselves."""
    return Rule(apply, lazy=True)
