"""Written versions that something is wrong with, in one way each."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from exporter.convert.saved_model import ReusableModel
from exporter.errors import CheckFailed
from exporter.verify.reload import compare_version


class InThisProcess:
    """Loads and runs a version as `exporter.verify.process.Reloader` does, without its process."""

    def start(self, version_dir, cases):
        self._request = version_dir, cases

    def finish(self):
        try:
            return compare_version(*self._request)
        except Exception as error:
            raise CheckFailed(f"the SavedModel can't be loaded and run again: {error}") from error


def rewrite(version_dir, *, serve=None, call=None, variables=None):
    """Writes a SavedModel anew.

    Args:
        version_dir: The version.
        serve: `(signature, tensors by name) -> outputs by name`, in place of the signature.
        call: `(function, inputs) -> outputs`, in place of `__call__`.
        variables: Changes the variables, by their names.
    """
    loaded = tf.saved_model.load(str(version_dir))
    if variables is not None:
        variables({v.name.removesuffix(":0"): v for v in loaded.variables})
    signature = loaded.signatures["serving_default"]

    def served(**tensors):
        return serve(signature, tensors) if serve else signature(**tensors)

    def called(inputs):
        return call(loaded, inputs) if call else loaded(inputs)

    called = tf.function(called, autograph=False)
    for concrete in loaded.__call__.concrete_functions:
        (structure,), _ = concrete.structured_input_signature
        called.get_concrete_function(structure)
    specs = signature.structured_input_signature[1]
    served = tf.function(served, autograph=False).get_concrete_function(**specs)
    mutant = ReusableModel(loaded.params, loaded.variables, called)
    mutant.kept = loaded  # what the functions refer to
    with tempfile.TemporaryDirectory() as temporary:
        tf.saved_model.save(mutant, temporary, {"serving_default": served})
        for name in ("saved_model.pb", "fingerprint.pb"):
            shutil.copy(Path(temporary) / name, Path(version_dir) / name)
        shutil.copytree(
            Path(temporary) / "variables", version_dir / "variables", dirs_exist_ok=True
        )


def edit_graph(version_dir, change):
    """Changes nodes of a SavedModel's graph and functions: `change(node) -> whether it did`."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = Path(version_dir) / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = saved.meta_graphs[0].graph_def
    functions = [function.node_def for function in graph.library.function]
    changed = [change(node) for nodes in [graph.node, *functions] for node in nodes]
    assert any(changed), "nothing was changed"
    path.write_bytes(saved.SerializeToString())


def assign(variable, array):
    """Gives a variable another value of its shape and dtype."""
    variable.assign(np.asarray(array, variable.dtype.as_numpy_dtype).reshape(variable.shape))
