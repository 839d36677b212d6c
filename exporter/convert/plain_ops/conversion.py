"""A trace as plain TensorFlow ops, for runtimes without XLA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from exporter.convert.converter import TensorFunction
from exporter.convert.plain_ops.dimensions import Dimensions
from exporter.convert.plain_ops.interpreter import Interpreter
from exporter.convert.plain_ops.registry import rules
from exporter.trace.traced import Trace


def to_tensorflow(trace: Trace, *, portable: bool = False) -> TensorFunction:
    """Returns a function from flat parameter and input tensors to flat output tensors.

    TensorFlow differentiates it by its own gradients of the ops.

    Args:
        trace: What to write; each call of the function writes the ops once more.
        portable: Uses only ops that TensorFlow.js has too, where there is a choice.

    The function raises `UnsupportedPrimitive` where a primitive can't be lowered.
    """
    shapes = [*trace.param_shapes, *trace.input_shapes]
    count = len(trace.param_shapes)

    def call(arguments: Sequence[Any]) -> list[Any]:
        # Values, not variables: a loop would capture those as resources, which can't be frozen.
        values = map(tf.convert_to_tensor, arguments)
        tensors = [tf.cast(x, shape.dtype) for x, shape in zip(values, shapes, strict=True)]
        dimensions = Dimensions.of(trace.input_shapes, tensors[count:])
        interpreter = Interpreter(rules(), dimensions, portable)
        results = interpreter.run(trace.jaxpr.jaxpr, trace.jaxpr.consts, *tensors)
        return [tf.convert_to_tensor(result) for result in results]

    return call
