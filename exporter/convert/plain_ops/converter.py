"""A model as plain TensorFlow operations, for runtimes without XLA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import tensorflow as tf

from exporter.convert.plain_ops import UnsupportedPrimitive, trace
from exporter.convert.xla.call import without_gradient
from exporter.errors import UserError
from exporter.model import Model
from exporter.trace.trace import Program, Traced, shape_of_parameter

TensorFunction = Callable[[Sequence[Any]], list[Any]]


def to_tensorflow(
    model: Model, traced: Traced, program: Program, *, with_gradient: bool
) -> TensorFunction:
    """Returns a function from flat parameter and input tensors to flat output tensors.

    Args:
        model: What to write.
        traced: Its programs.
        program: One of them, which says the batch size and the dtypes that JAX takes.
        with_gradient: Whether TensorFlow can differentiate the result: by its own gradients of
            the operations. Without, asking for a gradient fails with a message that says so.
    """
    symbol, size = traced.batch_symbol, program.batch_size
    sizes = {} if symbol is None or size is None else {symbol: size}
    shapes = jax.tree.map(shape_of_parameter, model.params)
    lowered = trace(replace(model, params=shapes), sizes)
    dtypes = [aval.dtype for aval in program.exported.in_avals]
    count = len(jax.tree.leaves(shapes))

    def call(arguments: Sequence[Any]) -> list[Any]:
        tensors = [tf.cast(x, dtype) for x, dtype in zip(arguments, dtypes, strict=True)]
        try:
            results = lowered(tensors[:count], tensors[count:])
        except UnsupportedPrimitive as error:
            raise UserError(f"{model.name} can't be exported with --no_xla: {error}") from None
        return results if with_gradient else without_gradient(results)

    return call
