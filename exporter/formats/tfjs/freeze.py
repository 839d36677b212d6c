"""A signature as one frozen graph: variables become constants, and what can be computed is."""

from __future__ import annotations

import re
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
        name: In the signature.
        dtype: For example `float32`.
        shape: None for an open dimension.
        node: The name of its node: the same, where nodes may have it and no other one does.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    node: str


@dataclass(frozen=True)
class FrozenGraph:
    """A graph without variables.

    Attributes:
        graph_def: A `GraphDef`; control flow's functions are in its library.
        inputs: In the order of `jax.tree.leaves`, as are the outputs.
        outputs: Each is the first result of its node.
    """

    graph_def: Any
    inputs: Sequence[GraphTensor]
    outputs: Sequence[GraphTensor]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the graph in TensorFlow, on inputs by name."""
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(self.graph_def, name="")
            with tf.compat.v1.Session(graph=graph) as session:
                feed = {f"{info.node}:0": inputs[info.name] for info in self.inputs}
                fetches = [f"{info.node}:0" for info in self.outputs]
                results = session.run(fetches, feed)
        names = [info.name for info in self.outputs]
        return dict(zip(names, results, strict=True))


def freeze(signature: Any, output_names: Sequence[str]) -> FrozenGraph:
    """Freezes a signature and lets TensorFlow's graph optimizer simplify it.

    Its nodes of inputs and outputs have the signature's names, as far as that goes: an output may
    be named like an input, or have a name that nodes can't have.

    Args:
        signature: A concrete function of named tensors, which gives named tensors.
        output_names: In the order of `jax.tree.leaves`.
    """
    frozen = compat.freeze(signature)
    structured = signature.structured_outputs
    inputs = [_info(tensor.op.name, tensor.op.name, tensor) for tensor in frozen.inputs]
    nodes = _output_nodes(output_names, [info.node for info in inputs])
    outputs = [_info(name, nodes[name], structured[name]) for name in output_names]
    by_name = dict(zip(sorted(structured), frozen.outputs, strict=True))
    renamed = {by_name[info.name].op.name: info.node for info in outputs}
    graph_def = _with_names(frozen.graph.as_graph_def(), renamed)
    names = [info.node for info in [*inputs, *outputs]]
    optimized = compat.optimize(graph_def, names, _OPTIMIZERS)
    _strip(optimized)
    _copy_constants(optimized, [info.node for info in outputs])
    return FrozenGraph(optimized, inputs, outputs)


def _info(name: str, node: str, tensor: Any) -> GraphTensor:
    return GraphTensor(name, tensor.dtype.name, tuple(tensor.shape.as_list()), node)


def _output_nodes(names: Sequence[str], inputs: Sequence[str]) -> dict[str, str]:
    """Names of the outputs' nodes: their own ones, or like these."""
    taken = set(inputs)
    nodes = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_./>-]", "_", name)
        node = plain = plain if plain[:1].isalnum() else f"output{plain}"
        count = 0
        while node in taken or (node != name and node in names):
            count += 1
            node = f"{plain}_{count}"
        nodes[name] = node
        taken.add(node)
    return nodes


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


def _copy_constants(graph_def: Any, outputs: Sequence[str]) -> None:
    """Makes an output that is a constant a copy of it.

    TensorFlow.js gives the weight itself for it, and the next call fails once its caller has
    disposed of the answer.
    """
    for node in [node for node in graph_def.node if node.op == "Const" and node.name in outputs]:
        copy = graph_def.node.add(name=node.name, op="Identity", input=[f"{node.name}/constant"])
        copy.attr["T"].CopyFrom(node.attr["dtype"])
        node.name = f"{node.name}/constant"


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
