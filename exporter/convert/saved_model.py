"""The writer of SavedModels: variables, `__call__` and signatures.

It follows the reusable SavedModel interface, so that TF Hub and Keras can take it:
https://www.tensorflow.org/hub/reusable_saved_models
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from artifact import versions
from exporter._compat import tensorflow as compat
from exporter.convert.converter import Converter
from exporter.convert.functions import SignatureFunctions
from exporter.convert.variables import make_variables, nest
from exporter.model import SERVING_DEFAULT, PyTree, naming
from exporter.signatures import graph
from exporter.signatures.plan import ProcessingPlan
from exporter.trace.traced import TracedSignature
from wire.methods import PREDICT


class ReusableModel(compat.AutoTrackable):
    """What is saved.

    Attributes:
        params: The model's parameters, nested as in JAX.
        variables, trainable_variables, regularization_losses: Flat lists.
        __call__: Takes the model's input pytree, gives its output pytree.
    """

    def __init__(self, params: PyTree, variables: Sequence[Any], call: Any) -> None:
        super().__init__()
        self.params = params
        self.variables = list(variables)
        self.trainable_variables = [v for v in variables if v.trainable]
        self.regularization_losses: list[Any] = []
        self.__call__ = call


def build(
    traced: Mapping[str, TracedSignature],
    convert: Converter,
    *,
    compile_model: bool = False,
    with_gradient: bool = False,
) -> tuple[ReusableModel, dict[str, SignatureFunctions]]:
    """Makes a model in TensorFlow of its traces.

    Args:
        traced: The signatures by name, all of the same parameters.
        convert: Makes a trace a function of tensors.
        compile_model: Marks the functions for XLA as a whole (`jit_compile`).
        with_gradient: Makes the variables trainable, and keeps the gradients that `convert` gives.

    Returns:
        The model, and the functions of each signature.

    Raises:
        UserError: the model's pytrees aren't ones that TensorFlow can take or give.
    """
    default = traced[SERVING_DEFAULT]
    params, paths = default.entry.params, default.parameter_paths
    variables = make_variables(params, paths, trainable=with_gradient)
    functions = {
        name: SignatureFunctions(
            signature,
            variables,
            convert,
            compile_model=compile_model,
            with_gradient=with_gradient,
        )
        for name, signature in traced.items()
    }
    nested = nest(params, dict(zip(paths, variables, strict=True)))
    return ReusableModel(nested, variables, functions[SERVING_DEFAULT].call()), functions


def save(
    traced: Mapping[str, TracedSignature],
    directory: Path,
    convert: Converter,
    *,
    plans: Mapping[str, ProcessingPlan] | None = None,
    compile_model: bool = False,
    with_gradient: bool = False,
) -> dict[str, str]:
    """Writes a SavedModel.

    Args:
        traced: The signatures by name.
        directory: Where to write `saved_model.pb`, `variables/` and `assets/`.
        convert: Makes a trace a function of tensors.
        plans: Processed signatures, by name.
        compile_model: Marks the functions for XLA as a whole (`jit_compile`).
        with_gradient: Makes the variables trainable, and keeps the gradients that `convert` gives.

    Returns:
        The checkpoint key of each parameter, by its path (`conv1/kernel`).

    Raises:
        UserError: the model's pytrees aren't ones that TensorFlow can take or give.
        OSError: the disk is full.
    """
    plans = plans or {}
    reusable, functions = build(
        traced, convert, compile_model=compile_model, with_gradient=with_gradient
    )
    signatures = {name: found.signature() for name, found in functions.items()}
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=with_gradient)
    with _system_errors(), graph.vocabularies(plans) as tables:
        if tables:
            reusable.vocabularies = tables
        for name, plan in plans.items():
            outputs = traced[plan.entry].output_names
            signatures[name] = graph.signature(plan, functions[plan.entry].served, outputs, tables)
        tf.saved_model.save(reusable, str(directory), signatures, options)
    # TensorFlow's copy of the parameters goes before anything else is loaded: functions and
    # variables refer to one another, so that only the collector frees them.
    del reusable, functions, signatures, tables
    gc.collect()
    _set_method_names(directory, {name: plan.method for name, plan in plans.items()})
    paths = traced[SERVING_DEFAULT].parameter_paths
    keys = _checkpoint_keys(directory)
    names = zip(paths, naming.variable_names(paths), strict=True)
    return {"/".join(path): keys[name] for path, name in names}


@contextlib.contextmanager
def _system_errors() -> Iterator[None]:
    """Raises a full disk as the OSError that it was before TensorFlow made it one of its own."""
    try:
        yield
    except tf.errors.OpError as error:
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if os.strerror(code) in str(error):
                raise OSError(code, os.strerror(code)) from error
        raise


def _set_method_names(directory: Path, methods: Mapping[str, str]) -> None:
    """Gives signatures their method names; TensorFlow 2 itself writes predict for all of them."""
    if set(methods.values()) <= {PREDICT}:
        return
    path = directory / versions.SAVED_MODEL
    saved = compat.read_saved_model(path)
    for name, method in methods.items():
        saved.meta_graphs[0].signature_def[name].method_name = method
    path.write_bytes(saved.SerializeToString(deterministic=True))
    compat.write_fingerprint(directory)


def _checkpoint_keys(directory: Path) -> dict[str, str]:
    """Reads from a checkpoint which key holds which variable."""
    objects = compat.read_object_graph(
        tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    )
    return {
        attribute.full_name: attribute.checkpoint_key
        for node in objects.nodes
        for attribute in node.attributes
        if attribute.full_name
    }
