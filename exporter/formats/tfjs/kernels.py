"""What each of TensorFlow.js' backends can run, and a graph checked against it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from exporter.errors import UserError

BACKENDS = ("cpu", "wasm", "webgl")

# Written by scripts/tfjs_kernels.cjs.
_KERNELS = Path(__file__).with_name("kernels.json")
# What TensorFlow.js computes with; a variant is a list of tensors, in a loop.
_DTYPES = frozenset({tf.float32, tf.int32, tf.bool, tf.complex64, tf.string, tf.variant})
# Inputs and casts may name narrower integers: TensorFlow.js takes them as int32.
_AS_INT32 = frozenset({tf.int8, tf.uint8, tf.int16, tf.uint16})
_LENIENT_OPS = frozenset({"Placeholder", "Cast"})


class UnsupportedOp(UserError):
    """A graph has an op that a backend can't run."""


def check(graph_def: Any, backends: Sequence[str] = BACKENDS) -> None:
    """Checks that each backend has the kernels for a graph.

    Args:
        graph_def: A frozen graph.
        backends: Of `cpu`, `wasm` and `webgl`.

    Raises:
        UnsupportedOp: one hasn't; the message names op, node, backend and version.
    """
    table = json.loads(_KERNELS.read_text())
    for node in nodes(graph_def):
        where = f"op {node.op} (node {node.name})"
        needed = table["ops"].get(node.op)
        if needed is None:
            raise UnsupportedOp(
                f"TensorFlow.js {table['tfjs']} has no {where}; compute that another way"
            )
        for backend in backends:
            missing = [name for name in needed if name not in table["kernels"][backend]]
            if missing:
                raise UnsupportedOp(
                    f"TensorFlow.js {table['tfjs']} can't run {where} on {backend}: no kernel"
                    f" {', '.join(missing)}; leave {backend} out of the backends"
                )
        for dtype in _dtypes(node):
            if dtype not in _DTYPES and not (node.op in _LENIENT_OPS and dtype in _AS_INT32):
                raise UnsupportedOp(
                    f"TensorFlow.js has no {dtype.name}, which {where} needs; cast it to float32 "
                    "or int32"
                )


def nodes(graph_def: Any) -> Iterator[Any]:
    """Yields the graph's nodes, those of its functions included."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def _dtypes(node: Any) -> Iterator[tf.DType]:
    for attribute in node.attr.values():
        if attribute.WhichOneof("value") == "type":
            yield tf.as_dtype(attribute.type)
        for number in attribute.list.type:
            yield tf.as_dtype(number)
