"""A trace as one XLA operation, with JAX's gradients.

The graph is the one that `jax2tf.convert` writes (an `XlaCallModule` a program), made from the
same `jax.export` program that a version keeps, and written for the runtimes of a `Target`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import tensorflow as tf
from jax.export import Exported

from exporter._compat.tensorflow import call_module
from exporter.convert.converter import TensorFunction
from exporter.convert.xla.target import Target, retarget
from exporter.trace.traced import Trace


def to_tensorflow(trace: Trace, target: Target, *, with_gradient: bool) -> TensorFunction:
    """Returns a function from flat parameter and input tensors to flat output tensors.

    Args:
        trace: What to write.
        target: The runtimes that the graph must load in.
        with_gradient: Whether TensorFlow can differentiate the result (once).
    """
    forward = retarget(trace.exported, target, trace.jaxpr)
    if not with_gradient:
        return lambda arguments: _operation(forward, arguments)

    backward = retarget(trace.exported.vjp(), target, trace.jaxpr)

    @tf.custom_gradient
    def differentiable(*arguments: Any) -> Any:
        results = _operation(forward, arguments)

        def gradient(*cotangents: Any) -> list[Any]:
            # Integers have no gradient: JAX takes a float0 for it, which TensorFlow lacks.
            cotangents = tuple(
                tf.zeros_like(result, _dtype(aval)) if given is None or _is_float0(aval) else given
                for given, result, aval in zip(
                    cotangents, results, backward.in_avals[len(arguments) :], strict=True
                )
            )
            gradients = _operation(backward, [*arguments, *cotangents])
            return [
                None if _is_float0(aval) else value
                for value, aval in zip(gradients, backward.out_avals, strict=True)
            ]

        return results, gradient

    return lambda arguments: list(differentiable(*arguments))


def _operation(exported: Exported, arguments: Sequence[Any]) -> list[Any]:
    arguments = [tf.convert_to_tensor(arguments[i]) for i in exported.module_kept_var_idx]
    kept = [exported.in_avals[i] for i in exported.module_kept_var_idx]
    return call_module(
        [
            argument if argument.dtype == _dtype(aval) else tf.cast(argument, _dtype(aval))
            for argument, aval in zip(arguments, kept, strict=True)
        ],
        version=exported.calling_convention_version,
        module=exported.mlir_module_serialized,
        Sout=[_shape(aval) for aval in exported.out_avals],
        Tout=[_dtype(aval) for aval in exported.out_avals],
        platforms=[platform.upper() for platform in exported.platforms],
    )


def _is_float0(aval: Any) -> bool:
    return bool(aval.dtype == jax.dtypes.float0)


def _dtype(aval: Any) -> Any:
    # JAX's own stand-in for a float0 is a bool.
    return tf.as_dtype(np.bool_ if _is_float0(aval) else aval.dtype)


def _shape(aval: Any) -> Any:
    return tf.TensorShape([size if isinstance(size, int) else None for size in aval.shape])
