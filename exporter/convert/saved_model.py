"""A traced model as a SavedModel: variables, `__call__` and signatures.

It follows the reusable SavedModel interface, so that TF Hub and Keras can take it:
https://www.tensorflow.org/hub/reusable_saved_models
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from artifact import versions
from exporter import signatures
from exporter.errors import UserError
from exporter.model import SERVING_DEFAULT, Model, PyTree, TensorSpec, naming
from exporter.signatures import graph
from exporter.signatures.plan import Plan
from exporter.trace.trace import Program, Traced, shape_of_parameter

# (model of one signature, its programs, one of them) -> function of flat parameters and inputs
Converter = Callable[[Model, Traced, Program], Callable[[Sequence[Any]], list[Any]]]


class ReusableModel(tf.__internal__.tracking.AutoTrackable):
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


def save(
    model: Model,
    traced: Mapping[str, Traced],
    plans: Mapping[str, Plan],
    directory: Path,
    *,
    convert: Converter,
    compile_model: bool,
    with_gradient: bool,
) -> dict[str, str]:
    """Writes a SavedModel.

    Args:
        model: Where the parameters come from.
        traced: The same model's programs, by signature.
        plans: Its processed signatures, by name.
        directory: Where to write `saved_model.pb`, `variables/` and `assets/`.
        convert: Makes a program a function of tensors.
        compile_model: Marks the functions for XLA as a whole (`jit_compile`).
        with_gradient: Makes the variables trainable, and keeps the gradients that `convert` gives.

    Returns:
        The checkpoint key of each parameter, by its path (`conv1/kernel`).

    Raises:
        UserError: the model's pytrees aren't ones that TensorFlow can take or give.
    """
    paths = traced[SERVING_DEFAULT].parameter_paths
    variables = _variables(model.params, paths, trainable=with_gradient)
    functions = {
        name: _Functions(entry, traced[name], variables, convert, compile_model=compile_model)
        for name, entry in model.entries().items()
    }
    reusable = ReusableModel(
        _nest(model.params, dict(zip(paths, variables, strict=True))),
        variables,
        functions[SERVING_DEFAULT].call(),
    )
    signatures = {name: entry.signature() for name, entry in functions.items()}
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
    del reusable, functions, signatures, variables, tables
    gc.collect()
    _set_method_names(directory, {name: plan.method for name, plan in plans.items()})
    keys = _checkpoint_keys(directory)
    names = zip(paths, naming.variable_names(paths), strict=True)
    return {"/".join(path): keys[name] for path, name in names}


class _Functions:
    """A signature's compiled functions, one a batch size, and the ways that lead to them."""

    def __init__(
        self,
        model: Model,
        traced: Traced,
        variables: Sequence[Any],
        convert: Converter,
        *,
        compile_model: bool,
    ) -> None:
        self._traced = traced
        self._trees = {
            p.batch_size: _input_tree(model.inputs, traced, p.batch_size) for p in traced.programs
        }

        def compiled(program: Program) -> Any:
            run = convert(model, traced, program)
            function = tf.function(
                lambda *inputs: run([*variables, *inputs]),
                autograph=False,
                jit_compile=compile_model or None,
            )
            return function.get_concrete_function(*tf.nest.flatten(self._trees[program.batch_size]))

        self._compiled = {program.batch_size: compiled(program) for program in traced.programs}

    @property
    def served(self) -> Any:
        """The function of the serving batch size, of flat inputs."""
        return self._compiled[self._traced.serving.batch_size]

    def signature(self) -> Any:
        """A concrete function of named tensors, of the serving batch size."""
        traced = self._traced

        def serve(**tensors: Any) -> dict[str, Any]:
            outputs = self.served(*map(tensors.get, traced.input_names))
            return dict(zip(traced.output_names, outputs, strict=True))

        leaves = tf.nest.flatten(self._trees[traced.serving.batch_size])
        specs = {spec.name: spec for spec in leaves}
        return tf.function(serve, autograph=False).get_concrete_function(**specs)

    def call(self) -> Any:
        """A function of the input pytree, of all batch sizes."""
        structure = _output_structure(self._traced)
        has_batch = [_has_batch(spec, self._traced) for spec in self._traced.input_specs]

        def call(inputs: PyTree) -> PyTree:
            leaves = tf.nest.flatten(inputs)
            batch_size = leaves[has_batch.index(True)].shape[0] if any(has_batch) else None
            compiled = self._compiled.get(batch_size) or self._compiled[None]
            return structure.unflatten(compiled(*leaves))

        function = tf.function(call, autograph=False)
        for tree in self._trees.values():
            function.get_concrete_function(tree)
        return function


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


def _variables(params: PyTree, paths: Sequence[tuple[str, ...]], *, trainable: bool) -> list[Any]:
    variables = []
    cpu = tf.config.list_logical_devices("CPU")[0].name
    for name, value in zip(naming.variable_names(paths), jax.tree.leaves(params), strict=True):
        dtype = shape_of_parameter(value).dtype
        array = np.asarray(value).astype(dtype, copy=False)
        # A tensor in the array's own memory: tf.constant would copy it, twice a big model.
        tensor = tf.__internal__.EagerTensor(array, cpu, tf.as_dtype(dtype).as_datatype_enum)
        is_float = jax.numpy.issubdtype(dtype, jax.numpy.floating)
        with tf.device(cpu):
            variable = tf.Variable(tensor, trainable=trainable and bool(is_float), name=name)
        variables.append(variable)
    return variables


def _nest(params: PyTree, variables: Mapping[tuple[str, ...], Any]) -> PyTree:
    """Nests variables as their paths say: lists stay lists, all else becomes dictionaries.

    TensorFlow tracks dictionaries with string keys and lists.
    """
    if isinstance(params, list | tuple) and not hasattr(params, "_fields"):
        keys = [str(i) for i in range(len(params))]
        children = [_subtree(variables, key) for key in keys]
        pairs = zip(params, children, strict=True)
        return [_nest(param, child) for param, child in pairs]
    if () in variables:
        return variables[()]
    keys = list(dict.fromkeys(path[0] for path in variables))
    if isinstance(params, Mapping):
        inner = {str(key): value for key, value in params.items()}
    else:
        inner = {}
    return {key: _nest(inner.get(key), _subtree(variables, key)) for key in keys}


def _subtree(variables: Mapping[tuple[str, ...], Any], key: str) -> dict[tuple[str, ...], Any]:
    return {path[1:]: value for path, value in variables.items() if path and path[0] == key}


def _has_batch(spec: TensorSpec, traced: Traced) -> bool:
    return bool(spec.shape) and spec.shape[0] == traced.batch_symbol


def _input_tree(inputs: PyTree, traced: Traced, batch_size: int | None) -> PyTree:
    """The input pytree with a `tf.TensorSpec` a leaf, named as in the signature."""
    sizes = {traced.batch_symbol: batch_size}
    leaves = [
        tf.TensorSpec(
            [size if isinstance(size, int) else sizes.get(size) for size in spec.shape],
            spec.dtype,
            name=name,
        )
        for name, spec in zip(traced.input_names, traced.input_specs, strict=True)
    ]
    try:
        tf.nest.assert_same_structure(inputs, jax.tree.map(lambda spec: spec, inputs))
        return tf.nest.pack_sequence_as(inputs, leaves)
    except (TypeError, ValueError) as error:
        raise UserError(
            "a SavedModel takes arrays in tuples, lists and dictionaries only; this model's inputs "
            f"are {jax.tree.structure(inputs)} ({error})"
        ) from None


def _output_structure(traced: Traced) -> Any:
    """The model's output pytree, or a dictionary by name where TensorFlow lacks the container."""
    leaves, structure = jax.tree.flatten(traced.outputs)
    flat = tf.nest.flatten(traced.outputs)
    if len(flat) == len(leaves) and all(a is b for a, b in zip(flat, leaves, strict=True)):
        return structure
    return jax.tree.structure(dict.fromkeys(traced.output_names, 0))


def _set_method_names(directory: Path, methods: Mapping[str, str]) -> None:
    """Gives signatures their method names; TensorFlow 2 itself writes predict for all of them."""
    if set(methods.values()) <= {signatures.PREDICT}:
        return
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.saved_model import fingerprinting_utils

    path = directory / versions.SAVED_MODEL
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for name, method in methods.items():
        saved.meta_graphs[0].signature_def[name].method_name = method
    path.write_bytes(saved.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(str(directory))


def _checkpoint_keys(directory: Path) -> dict[str, str]:
    """Reads from a checkpoint which key holds which variable."""
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    objects = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
    )
    return {
        attribute.full_name: attribute.checkpoint_key
        for node in objects.nodes
        for attribute in node.attributes
        if attribute.full_name
    }
