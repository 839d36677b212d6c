"""TensorFlow.js' graph-model format: `model.json` and shards of weights.

https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/types.ts
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.json_format import MessageToDict, ParseDict

from exporter.formats.tfjs import weights as weights_module
from exporter.formats.tfjs.freeze import FrozenGraph, GraphTensor
from exporter.formats.tfjs.weights import Weight
from wire import dtypes

MODEL_FILE = "model.json"
_DTYPES = {
    dtypes.enum_name(dtypes.number(name)): name
    for name in ("float32", "int32", "bool", "complex64", "string")
}


@dataclass(frozen=True)
class GraphModel:
    """A graph model in memory.

    Attributes:
        graph: The graph, without its constants' values.
        weights: The constants.
        metadata: What `model.json` shall say to its users, for example the classes' names.
    """

    graph: FrozenGraph
    weights: Sequence[Weight]
    metadata: Mapping[str, Any]

    @property
    def num_bytes(self) -> int:
        """The size of all weights."""
        return sum(len(weight.data) for weight in self.weights)

    def reference(self) -> FrozenGraph:
        """Returns the graph with the values that TensorFlow.js will see, to run in TensorFlow."""
        graph_def = tf.compat.v1.GraphDef()
        graph_def.CopyFrom(self.graph.graph_def)
        weights_module.restore(graph_def, {w.name: w.value for w in self.weights})
        return FrozenGraph(graph_def, self.graph.inputs, self.graph.outputs)


def build(
    graph: FrozenGraph, quantisation: str = "float32", metadata: Mapping[str, Any] | None = None
) -> GraphModel:
    """Takes the weights out of a frozen graph, which is left as it is.

    Args:
        graph: From `freeze`.
        quantisation: How large float32 weights are stored: `float32`, `float16` or `uint8`.
        metadata: Goes into `model.json` as `userDefinedMetadata`.
    """
    graph_def = tf.compat.v1.GraphDef()
    graph_def.CopyFrom(graph.graph_def)
    taken = weights_module.extract(graph_def, quantisation)
    return GraphModel(FrozenGraph(graph_def, graph.inputs, graph.outputs), taken, metadata or {})


def write(model: GraphModel, directory: Path) -> None:
    """Writes `model.json` and `group1-shard1of1.bin`, … into a directory."""
    pieces = list(weights_module.shards(model.weights))
    paths = [f"group1-shard{i + 1}of{len(pieces)}.bin" for i in range(len(pieces))]
    for path, piece in zip(paths, pieces, strict=True):
        (directory / path).write_bytes(piece)
    graph_def = model.graph.graph_def
    document = {
        "format": "graph-model",
        "generatedBy": f"tensorflow {tf.__version__}",
        "convertedBy": "jax-serving-stack",
        "signature": {
            "inputs": {info.name: _signature_entry(info) for info in model.graph.inputs},
            "outputs": {info.name: _signature_entry(info) for info in model.graph.outputs},
        },
        "userDefinedMetadata": dict(model.metadata),
        "modelTopology": MessageToDict(graph_def),
        "weightsManifest": [{"paths": paths, "weights": [w.entry for w in model.weights]}],
    }
    (directory / MODEL_FILE).write_text(json.dumps(document, separators=(",", ":")))


def read(directory: Path) -> FrozenGraph:
    """Reads a written model back, with the values that TensorFlow.js makes of its weights.

    Raises:
        OSError, ValueError, KeyError: the files are damaged.
    """
    document = json.loads((directory / MODEL_FILE).read_text())
    graph_def = ParseDict(document["modelTopology"], tf.compat.v1.GraphDef())
    (group,) = document["weightsManifest"]
    content = b"".join((directory / path).read_bytes() for path in group["paths"])
    weights_module.restore(graph_def, weights_module.parse(group["weights"], content))
    signature = document["signature"]
    tensors = [_tensors(signature[kind]) for kind in ("inputs", "outputs")]
    return FrozenGraph(graph_def, *tensors)


def _tensors(entries: Mapping[str, Any]) -> list[GraphTensor]:
    return [
        GraphTensor(
            name,
            _DTYPES[entry["dtype"]],
            tuple(_size(dimension["size"]) for dimension in entry["tensorShape"]["dim"]),
            entry["name"].removesuffix(":0"),
        )
        for name, entry in entries.items()
    ]


def _size(text: str) -> int | None:
    return None if text == "-1" else int(text)


def _signature_entry(info: GraphTensor) -> dict[str, Any]:
    return {
        "name": f"{info.node}:0",
        "dtype": dtypes.enum_name(dtypes.number(info.dtype)),
        "tensorShape": {"dim": [{"size": str(-1 if d is None else d)} for d in info.shape]},
    }
