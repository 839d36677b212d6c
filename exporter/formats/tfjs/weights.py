"""A graph's constants as weights: taken out of it, quantised or not, and cut into shards."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from exporter.errors import UserError

QUANTISATIONS = ("float32", "float16", "uint8")
SHARD_BYTES = 4 * 2**20

# Smaller ones (biases, scales, axes) stay as they are: they cost nothing and matter most.
_QUANTISED_FROM = 256


@dataclass(frozen=True)
class Weight:
    """One constant.

    Attributes:
        name: The name of its node.
        entry: Its entry in the manifest of weights:
            https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/types.ts
        data: Its bytes, as the shards hold them.
        value: What TensorFlow.js makes of them.
    """

    name: str
    entry: dict[str, Any]
    data: bytes
    value: np.ndarray


def extract(graph_def: Any, quantisation: str) -> list[Weight]:
    """Takes the constants out of a graph.

    Args:
        graph_def: A frozen graph. Constants keep their dtype and shape in it, not their values;
            those in functions get names that are unique in the whole graph.
        quantisation: `float32` (none), `float16` or `uint8`, of the large float32 ones.

    Returns:
        The constants, with the graph's own ones first.
    """
    weights = [_extract(node, quantisation) for node in graph_def.node if node.op == "Const"]
    for function in graph_def.library.function:
        _make_unique(function)
        weights += [
            _extract(node, quantisation) for node in function.node_def if node.op == "Const"
        ]
    return weights


def parse(entries: Sequence[dict[str, Any]], content: bytes) -> dict[str, np.ndarray]:
    """Returns the values of weights by name, read as TensorFlow.js does from a manifest's entries.

    https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/io_utils.ts

    Raises:
        ValueError: the content is of another length.
    """
    values, start = {}, 0
    for entry in entries:
        details = entry.get("quantization")
        dtype = np.dtype(details["dtype"] if details else entry["dtype"]).newbyteorder("<")
        count = math.prod(entry["shape"])
        array = np.frombuffer(content, dtype, count, start).reshape(entry["shape"])
        start += array.nbytes
        if details:
            if "scale" in details:
                array = array.astype(np.float64) * details["scale"] + details["min"]
            array = array.astype(np.float32)
        values[entry["name"]] = array
    if start != len(content):
        raise ValueError(f"the weights have {len(content)} bytes, their manifest {start}")
    return values


def restore(graph_def: Any, values: Mapping[str, np.ndarray]) -> None:
    """Puts values back into a graph: quantised ones as TensorFlow.js will see them.

    Raises:
        KeyError, ValueError: a value is missing, or of another dtype than its constant.
    """
    functions = [function.node_def for function in graph_def.library.function]
    for nodes in [graph_def.node, *functions]:
        for node in nodes:
            if node.op != "Const":
                continue
            value, wanted = values[node.name], tf.as_dtype(node.attr["dtype"].type)
            if value.dtype != wanted.as_numpy_dtype:
                raise ValueError(f"the weight {node.name} is {value.dtype}, not {wanted.name}")
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))


def shards(weights: Sequence[Weight]) -> Iterator[bytes]:
    """Yields the weights' bytes, one after the other, in pieces of 4 MB."""
    data = b"".join(weight.data for weight in weights)
    for start in range(0, len(data), SHARD_BYTES):
        yield data[start : start + SHARD_BYTES]


def _make_unique(function: Any) -> None:
    """Puts the function's name before its constants': weights have one name space."""
    names = {
        node.name: f"{function.signature.name}/{node.name}"
        for node in function.node_def
        if node.op == "Const"
    }

    def renamed(text: str) -> str:
        control = "^" if text.startswith("^") else ""
        base, colon, slot = text[len(control) :].partition(":")
        return control + names.get(base, base) + colon + slot

    for node in function.node_def:
        node.name = names.get(node.name, node.name)
        node.input[:] = [renamed(text) for text in node.input]
    for key, text in function.ret.items():
        function.ret[key] = renamed(text)


def _extract(node: Any, quantisation: str) -> Weight:
    value = tf.make_ndarray(node.attr["value"].tensor)
    shape = node.attr["value"].tensor.tensor_shape
    kept = tf.compat.v1.AttrValue()
    kept.tensor.dtype = node.attr["value"].tensor.dtype
    kept.tensor.tensor_shape.CopyFrom(shape)
    node.attr["value"].CopyFrom(kept)
    entry = {"name": node.name, "shape": list(value.shape), "dtype": value.dtype.name}
    if value.dtype not in (np.float32, np.int32, np.bool_):
        raise UserError(f"TensorFlow.js has no {value.dtype.name}, which constant {node.name} is")
    if value.dtype == np.float32 and value.size >= _QUANTISED_FROM and quantisation != "float32":
        return _quantised(entry, value, quantisation)
    return Weight(node.name, entry, np.ascontiguousarray(value).tobytes(), value)


def _quantised(entry: dict[str, Any], value: np.ndarray, quantisation: str) -> Weight:
    if quantisation == "float16":
        stored: np.ndarray = value.astype(np.float16)
        if np.isfinite(stored).all():
            entry = {**entry, "quantization": {"dtype": "float16", "original_dtype": "float32"}}
            return Weight(entry["name"], entry, stored.tobytes(), stored.astype(np.float32))
    elif np.isfinite(value).all() and (low := float(value.min())) < (high := float(value.max())):
        # Zero gets a value of its own, so that what is sparse stays so.
        low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / 255
        low = -round(-low / scale) * scale
        stored = np.clip(np.round((value - low) / scale), 0, 255).astype(np.uint8)
        details = {"dtype": "uint8", "original_dtype": "float32", "min": low, "scale": scale}
        restored = (stored * scale + low).astype(np.float32)
        return Weight(entry["name"], {**entry, "quantization": details}, stored.tobytes(), restored)
    return Weight(entry["name"], entry, value.tobytes(), value)
