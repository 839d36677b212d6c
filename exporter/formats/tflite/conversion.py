"""A model for TensorFlow Lite: plain ops at one batch size, float or quantised.

LiteRT, which TensorFlow Lite is called now, runs no XLA modules: the model is lowered to plain
TensorFlow ops first.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from artifact import versions
from exporter.errors import CheckFailed, UserError
from exporter.model import SERVING_DEFAULT, TensorSpec
from exporter.model.dimensions import choose
from exporter.model.entry import Entry
from exporter.trace.trace import trace
from exporter.verify.inputs import Arrays

# How large the numbers of a model are: as they are; weights as float16 or int8; all as int8.
KINDS = ("float32", "float16", "dynamic", "int8")

# Of a message.
_SHOWN_OPS, _LONGEST_REASON = 6, 300
# Dtypes as MLIR writes them. Of floats and truth values nearly all kernels are there.
_DTYPES = {
    "bf16": "bfloat16",
    "f16": "float16",
    "f64": "float64",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "ui8": "uint8",
    "ui16": "uint16",
    "ui32": "uint32",
    "ui64": "uint64",
    "complex<f32>": "complex64",
    "complex<f64>": "complex128",
}
_DTYPE = re.compile(r"tensor<(?:[\d?]+x)*([a-z]+\d*(?:<f\d+>)?)")


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
            _check_loops(entry.label, Path(temporary))
            # Ops that have no int8 kernel stay float.
            converter.representative_dataset = _samples(samples)
        try:
            return bytes(converter.convert())
        except Exception as error:
            raise UserError(
                f"{entry.label} can't be written for TensorFlow Lite: {_reason(error)}"
            ) from None


def runner(content: bytes) -> Callable[[Arrays], dict[str, np.ndarray]]:
    """Returns a function from inputs by name to outputs by name, run by the LiteRT interpreter.

    Raises:
        CheckFailed: the interpreter can't run the model; the function raises it, too.
    """
    from ai_edge_litert.interpreter import Interpreter

    with _interpreted():
        interpreter = Interpreter(model_content=content)
        signature = interpreter.get_signature_runner(SERVING_DEFAULT)

    def run(inputs: Arrays) -> dict[str, np.ndarray]:
        with _interpreted():
            outputs: dict[str, np.ndarray] = signature(**inputs)
        return outputs

    return run


@contextlib.contextmanager
def _interpreted() -> Iterator[None]:
    """Raises what the interpreter says, which is one of Python's own errors, as a failed check."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())[:_LONGEST_REASON]
        raise CheckFailed(
            f"TensorFlow Lite's interpreter can't run the model: {said}; compute that another way"
        ) from error


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


def _check_loops(label: str, saved: Path) -> None:
    """Refuses loops, on which TensorFlow Lite's calibration ends the process."""
    from exporter._compat.tensorflow import read_saved_model

    graph = read_saved_model(saved / versions.SAVED_MODEL).meta_graphs[0].graph_def
    functions = [function.node_def for function in graph.library.function]
    loops = [n.op for nodes in [graph.node, *functions] for n in nodes if n.op.endswith("While")]
    if loops:
        raise UserError(
            f"{label} can't be written for TensorFlow Lite as int8: it has a loop, through which "
            "the calibration of int8 can't see; take dynamic, or unroll the loop "
            "(lax.scan(…, unroll=True))"
        )


def _samples(samples: Iterable[Arrays]) -> Callable[[], Any]:
    return lambda: ({**sample} for sample in samples)


def _reason(error: Exception) -> str:
    """Which operations TensorFlow Lite lacks, or the first line that says what is wrong.

    The converter lists them ("TF Select ops: …", "Custom ops: …", then each with the types of its
    operands) in front of a dump of the whole program.
    """
    text = str(error)
    lists = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", text, re.MULTILINE)
    if lists:
        names = sorted({name.strip() for found in lists for name in found.split(",")})
        shown = ", ".join(_with_dtypes(name, text) for name in names[:_SHOWN_OPS])
        more = f" and {len(names) - _SHOWN_OPS} others" if len(names) > _SHOWN_OPS else ""
        return (
            f"it has no {shown}{more}; compute that another way (in float32, for a dtype that it "
            "lacks), or serve the SavedModel"
        )
    errors = re.findall(r"error: (?:loc\(.*\): )?(.+)$", text, re.MULTILINE)
    lines = [*errors, *text.splitlines()]
    return next((line.strip() for line in lines if line.strip()), type(error).__name__)[
        :_LONGEST_REASON
    ]


def _with_dtypes(name: str, text: str) -> str:
    """An operation with the dtype of its first operand, where that may be why it is lacking."""
    operands = re.findall(rf"^\s*tf\.{re.escape(name)}\((tensor<.*?>)[,)]", text, re.MULTILINE)
    found = {_DTYPES.get(dtype, "") for operand in operands for dtype in _DTYPE.findall(operand)}
    named = " and ".join(sorted(filter(None, found)))
    return f"{name} of {named}" if named else name
