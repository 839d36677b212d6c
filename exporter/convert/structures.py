"""The pytrees that a SavedModel's `__call__` takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import tensorflow as tf

from exporter.errors import UserError
from exporter.model import PyTree
from exporter.trace.traced import TracedSignature


def input_tree(signature: TracedSignature, batch_size: int | None) -> PyTree:
    """Returns the input pytree with a `tf.TensorSpec` a leaf, named as in the signature.

    Args:
        signature: Whose inputs.
        batch_size: Of the open batch dimension; None leaves it open, as all others are.

    Raises:
        UserError: TensorFlow lacks one of its containers.
    """
    inputs = signature.entry.inputs
    sizes = {signature.entry.batch_symbol: batch_size}
    leaves = [
        tf.TensorSpec(
            [size if isinstance(size, int) else sizes.get(size) for size in spec.shape],
            spec.dtype,
            name=name,
        )
        for name, spec in signature.entry.specs.items()
    ]
    try:
        tf.nest.assert_same_structure(inputs, jax.tree.map(lambda spec: spec, inputs))
        return tf.nest.pack_sequence_as(inputs, leaves)
    except (TypeError, ValueError):
        raise UserError(
            f"{signature.entry.label}: a SavedModel takes arrays in tuples, lists and dictionaries "
            f"only, and the inputs are {jax.tree.structure(inputs)}; take a dictionary, and make "
            "the other of it inside of the function"
        ) from None


def output_tree(signature: TracedSignature) -> Callable[[Sequence[Any]], PyTree]:
    """Returns what makes the outputs of their leaves; a dictionary, where TensorFlow lacks one."""
    outputs = signature.serving.outputs
    leaves, structure = jax.tree.flatten(outputs)
    flat = tf.nest.flatten(outputs)
    if len(flat) == len(leaves) and all(a is b for a, b in zip(flat, leaves, strict=True)):
        return structure.unflatten
    # By name: a dictionary's own order is another one than that of a dataclass.
    return lambda given: dict(zip(signature.output_names, given, strict=True))
