"""A signature in TensorFlow: a compiled function for each batch size, and the ways to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from exporter.convert.converter import Converter
from exporter.convert.gradients import without_gradient
from exporter.convert.structures import input_tree, output_tree
from exporter.model import PyTree
from exporter.trace.traced import Trace, TracedSignature


class SignatureFunctions:
    """A traced signature's functions."""

    def __init__(
        self,
        traced: TracedSignature,
        variables: Sequence[Any],
        convert: Converter,
        *,
        compile_model: bool = False,
        with_gradient: bool = False,
    ) -> None:
        """Writes a concrete function of each trace.

        Args:
            traced: What to write.
            variables: The parameters, in the traces' order.
            convert: Makes a trace a function of tensors.
            compile_model: Marks the functions for XLA as a whole (`jit_compile`).
            with_gradient: False makes asking for a gradient fail with a message that says why.
        """
        self._traced = traced
        self._trees = {t.batch_size: input_tree(traced, t.batch_size) for t in traced.traces}

        def compiled(trace: Trace) -> Any:
            run = convert(trace)

            def call(*inputs: Any) -> list[Any]:
                results = run([*variables, *inputs])
                return results if with_gradient else without_gradient(results)

            function = tf.function(call, autograph=False, jit_compile=compile_model or None)
            return function.get_concrete_function(*tf.nest.flatten(self._trees[trace.batch_size]))

        self._compiled = {trace.batch_size: compiled(trace) for trace in traced.traces}

    @property
    def served(self) -> Any:
        """The function of the serving batch size, of flat inputs."""
        return self._compiled[self._traced.serving.batch_size]

    def signature(self) -> Any:
        """Returns a concrete function of named tensors, of the serving batch size."""
        names = list(self._traced.entry.specs)

        def serve(**tensors: Any) -> dict[str, Any]:
            outputs = self.served(*map(tensors.get, names))
            return dict(zip(self._traced.output_names, outputs, strict=True))

        leaves = tf.nest.flatten(self._trees[self._traced.serving.batch_size])
        specs = {spec.name: spec for spec in leaves}
        return tf.function(serve, autograph=False).get_concrete_function(**specs)

    def call(self) -> Any:
        """Returns a function of the input pytree, of all batch sizes."""
        unflatten = output_tree(self._traced)
        entry = self._traced.entry
        has_batch = [name in entry.batched_inputs for name in entry.specs]

        def call(inputs: PyTree) -> PyTree:
            leaves = tf.nest.flatten(inputs)
            batch_size = leaves[has_batch.index(True)].shape[0] if any(has_batch) else None
            compiled = self._compiled.get(batch_size) or self._compiled[None]
            return unflatten(compiled(*leaves))

        function = tf.function(call, autograph=False)
        for tree in self._trees.values():
            function.get_concrete_function(tree)
        return function
