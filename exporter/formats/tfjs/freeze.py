"""A signature as one frozen graph: variables become constants, and what can be computed is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from exporter._compat import tensorflow as compat

# No remapping: it fuses a bias into a convolution in ways that the wasm kernels refuse.
_OPTIMIZERS = ("pruning", "constfold", "arithmetic", "dependency")


@dataclass(frozen=True)
class GraphTensor:
    """One input or output of a graph.

    Attributes:
        name: The name of its node and in the signature.
        dtype: For example `float32`.
        shape: None for an open dimension.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class FrozenGraph:
    """A graph without variables.

    Attributes:
        graph_def: A `GraphDef`; control flow's functions are in its library.
        inputs: In the order of `jax.tree.leaves`, as are the outputs.
        outputs: Each is the first result of the node that has its name.
    """

    graph_def: Any
    inputs: Sequence[GraphTensor]
    outputs: Sequence[GraphTensor]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the graph in TensorFlow."""
        names = [info.name for info in self.outputs]
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(self.graph_def, name="")
            with tf.compat.v1.Session(graph=graph) as session:
                feed = {f"{name}:0": value for name, value in inputs.items()}
                results = session.run([f"{name}:0" for name in names], feed)
        return dict(zip(names, results, strict=True))


def freeze(signature: Any, output_names: Sequence[str]) -> FrozenGraph:
    """Freezes a signature and lets TensorFlow's graph optimizer simplify it.

    Its nodes of inputs and outputs have the signature's names.

    Args:
        signature: A concrete function of named tensors, which gives named tensors.
        output_names: In the order of `jax.tree.leaves`.
    """
    frozen = compat.freeze(signature)
    structured = signature.structured_outputs
    inputs = [_info(tensor.op.name, tensor) for tensor in frozen.inputs]
    outputs = [_info(name, structured[name]) for name in output_names]
    by_name = dict(zip(sorted(structured), frozen.outputs, strict=True))
    renamed = {by_name[info.name].op.name: info.name for info in outputs}
    graph_def = _with_names(frozen.graph.as_graph_def(), renamed)
    names = [info.name for info in [*inputs, *outputs]]
    optimized = compat.optimize(graph_def, names, _OPTIMIZERS)
    _strip(optimized)
    return FrozenGraph(optimized, inputs, outputs)


def _info(name: str, tensor: Any) -> GraphTensor:
    return GraphTensor(name, tensor.dtype.name, tuple(tensor.shape.as_list()))


def _with_names(graph_def: Any, renamed: Mapping[str, str]) -> Any:
    """Gives output nodes the signature's names, and others of those names new ones."""
    taken = set(renamed.values())
    own = {node.name for node in graph_def.node if node.op == "Placeholder"}
    clashes = {
        node.name: f"{node.name}_inside"
        for node in graph_def.node
        if node.name in taken and node.name not in renamed and node.name not in own
    }
    names = {**clashes, **renamed}
    for node in graph_def.node:
        node.name = names.get(node.name, node.name)
        for index, text in enumerate(node.input):
            control, base, slot = _parts(text)
            node.input[index] = control + names.get(base, base) + slot
    return graph_def


def _parts(text: str) -> tuple[str, str, str]:
    """Splits `^name:1` into `^`, `name` and `:1`."""
    control = "^" if text.startswith("^") else ""
    base, colon, slot = text[len(control) :].partition(":")
    return control, base, colon + slot


def _strip(graph_def: Any) -> None:
    """Drops attributes that only TensorFlow's own runtime reads."""
    functions = [function.node_def for function in graph_def.library.function]
    for nodes in [graph_def.node, *functions]:
        for node in nodes:
            for name in [name for name in node.attr if name.startswith("_")]:
                del node.attr[name]
            node.ClearField("experimental_debug_info")
            node.ClearField("device")
    for function in graph_def.library.function:
        function.attr.clear()
        function.arg_attr.clear()
