"""A model for TensorFlow Lite: plain ops at one batch size, float or quantised.

LiteRT, which TensorFlow Lite is called now, runs no XLA modules: the model is lowered to plain
TensorFlow ops first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from exporter.errors import UserError
from exporter.model import SERVING_DEFAULT, TensorSpec
from exporter.model.dimensions import choose
from exporter.model.entry import Entry
from exporter.trace.trace import trace
from exporter.verify.inputs import Arrays

# How large the numbers of a model are: as they are; weights as float16 or int8; all as int8.
KINDS = ("float32", "float16", "dynamic", "int8")


def convert(entry: Entry, *, kind: str = "float32", samples: Iterable[Arrays] = ()) -> bytes:
    """Writes a signature as a TensorFlow Lite flatbuffer, whose signature is `serving_default`.

    Args:
        entry: What to convert, without open dimensions: see `at_batch_size`.
        kind: One of `KINDS`. Inputs and outputs keep their dtypes.
        samples: Inputs by name, which show `int8` the range of each tensor.

    Raises:
        UserError: an operation of the model has no counterpart; the message names it. Or an
            input has no elements.
    """
    import tensorflow as tf

    from exporter.convert import plain_ops, saved_model

    for name, spec in entry.specs.items():
        if 0 in spec.shape:
            raise UserError(
                f"{entry.label} can't be written for TensorFlow Lite: input {name} has no elements "
                f"({list(spec.shape)}), which the interpreter can't hold; leave it out"
            )
    traced = {SERVING_DEFAULT: trace(entry)}
    with tempfile.TemporaryDirectory() as temporary:
        # The interpreter has no op that refuses gradients.
        saved_model.save(traced, Path(temporary), plain_ops.to_tensorflow, with_gradient=True)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            temporary, signature_keys=[SERVING_DEFAULT]
        )
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if kind == "int8":
            # Ops that have no int8 kernel stay float.
            converter.representative_dataset = _samples(samples)
        try:
            return bytes(converter.convert())
        except Exception as error:
            raise UserError(
                f"{entry.label} can't be written for TensorFlow Lite: {_reason(error)}"
            ) from None


def runner(content: bytes) -> Callable[[Arrays], dict[str, np.ndarray]]:
    """Returns a function from inputs by name to outputs by name, run by the LiteRT interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    signature = interpreter.get_signature_runner(SERVING_DEFAULT)

    def run(inputs: Arrays) -> dict[str, np.ndarray]:
        outputs: dict[str, np.ndarray] = signature(**inputs)
        return outputs

    return run


def at_batch_size(entry: Entry, batch_size: int) -> Entry:
    """Returns a signature whose open dimensions are closed: the batch, and others at some size."""
    names = dict.fromkeys(n for s in entry.specs.values() for n in s.shape if isinstance(n, str))
    symbol = entry.batch_symbol
    known = {} if symbol is None else {symbol: batch_size}
    sizes = choose([n for n in names if n not in known], known, entry.constraints)

    def closed(spec: TensorSpec) -> TensorSpec:
        return TensorSpec(
            tuple(sizes[n] if isinstance(n, str) else n for n in spec.shape), spec.dtype
        )

    inputs = jax.tree.map(closed, entry.inputs)
    return replace(entry, inputs=inputs, examples=None, constraints=())


def _samples(samples: Iterable[Arrays]) -> Callable[[], Any]:
    return lambda: ({**sample} for sample in samples)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "tf." in line or "op" in line.lower()]
    return (named or lines or [type(error).__name__])[0][:300]
