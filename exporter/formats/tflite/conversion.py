"""A model for TensorFlow Lite: plain ops at one batch size, float or quantised.

LiteRT, which TensorFlow Lite is called now, runs no XLA modules: the model is lowered to plain
TensorFlow ops first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from exporter.convert.plain_ops import lower, save_lowered
from exporter.errors import UserError
from exporter.model import SERVING_DEFAULT, Model, TensorSpec, naming
from exporter.model.dimensions import batch_symbol, choose

# How large the numbers of a model are: as they are; weights as float16 or int8; all as int8.
KINDS = ("float32", "float16", "dynamic", "int8")

Arrays = Mapping[str, np.ndarray]


def convert(
    model: Model, *, kind: str = "float32", batch_size: int = 1, samples: Iterable[Arrays] = ()
) -> bytes:
    """Writes a model's `serving_default` as a TensorFlow Lite flatbuffer.

    Args:
        model: What to convert.
        kind: One of `KINDS`. Inputs and outputs keep their dtypes.
        batch_size: The only one that the result takes.
        samples: Inputs by name, of that batch size, which show `int8` the range of each tensor.

    Raises:
        UserError: an operation of the model has no counterpart; the message names it. Or an
            input has no elements.
    """
    import tensorflow as tf

    closed = at_batch_size(model, batch_size)
    for name, spec in zip(
        naming.input_names(closed.inputs), jax.tree.leaves(closed.inputs), strict=True
    ):
        if 0 in spec.shape:
            raise UserError(
                f"{model.name} can't be written for TensorFlow Lite: input {name} has no elements "
                f"({list(spec.shape)}), which the interpreter can't hold; leave it out"
            )
    with tempfile.TemporaryDirectory() as temporary:
        save_lowered(lower(closed), Path(temporary))
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
                f"{model.name} can't be written for TensorFlow Lite: {_reason(error)}"
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


def at_batch_size(model: Model, batch_size: int) -> Model:
    """Returns a model whose open dimensions are closed: the batch, and others at some size."""
    specs, structure = jax.tree.flatten(model.inputs)
    names = dict.fromkeys(n for spec in specs for n in spec.shape if isinstance(n, str))
    symbol = batch_symbol(specs)
    known = {} if symbol is None else {symbol: batch_size}
    sizes = choose([n for n in names if n not in known], known, model.constraints)
    closed = [
        TensorSpec(tuple(sizes[n] if isinstance(n, str) else n for n in spec.shape), spec.dtype)
        for spec in specs
    ]
    return replace(
        model, inputs=structure.unflatten(closed), examples=None, constraints=(), signatures={}
    )


def _samples(samples: Iterable[Arrays]) -> Callable[[], Any]:
    return lambda: ({**sample} for sample in samples)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "tf." in line or "op" in line.lower()]
    return (named or lines or [type(error).__name__])[0][:300]
