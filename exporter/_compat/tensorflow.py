"""TensorFlow's private parts: the XLA op, tensors without a copy, freezing, file formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

# A base class of objects that are saved; unlike tf.Module, it may have attributes of any name.
AutoTrackable = tf.__internal__.tracking.AutoTrackable


def call_module(arguments: Sequence[Any], **attributes: Any) -> list[Any]:
    """Adds an `XlaCallModule` op to the graph; attributes are the op's."""
    from tensorflow.compiler.tf2xla.python import xla

    results: list[Any] = xla.call_module(arguments, **attributes)
    return results


def borrowed_tensor(array: np.ndarray, device: str) -> Any:
    """Returns a tensor in an array's own memory; `tf.constant` would copy it."""
    dtype = tf.as_dtype(array.dtype).as_datatype_enum
    return tf.__internal__.EagerTensor(array, device, dtype)


def freeze(function: Any) -> Any:
    """Returns a concrete function whose variables are constants; control flow stays functional."""
    from tensorflow.python.framework import convert_to_constants

    return convert_to_constants.convert_variables_to_constants_v2(
        function, lower_control_flow=False
    )


def optimize(graph_def: Any, fetches: Sequence[str], optimizers: Sequence[str]) -> Any:
    """Lets Grappler simplify a graph, in two rounds.

    Args:
        graph_def: A `GraphDef`.
        fetches: Names of the nodes that must stay.
        optimizers: Grappler's names of its passes.
    """
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.python.grappler import tf_optimizer

    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    meta_graph: Any = tf.compat.v1.train.export_meta_graph(graph_def=graph_def, graph=graph)
    meta_graph.collection_def["train_op"].node_list.value.extend(fetches)
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.min_graph_nodes = -1
    options.meta_optimizer_iterations = options.TWO
    options.optimizers.extend(optimizers)
    return tf_optimizer.OptimizeGraph(config, meta_graph)


def read_saved_model(path: Path) -> Any:
    """Returns the `SavedModel` proto in a `saved_model.pb`."""
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel.FromString(path.read_bytes())


def write_fingerprint(directory: Path) -> None:
    """Writes a SavedModel's `fingerprint.pb` anew, after a change of its `saved_model.pb`."""
    from tensorflow.python.saved_model import fingerprinting_utils

    fingerprinting_utils.write_fingerprint(str(directory))


def read_object_graph(reader: Any) -> Any:
    """Returns the `TrackableObjectGraph` proto of a checkpoint, from its reader."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    return trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
    )
