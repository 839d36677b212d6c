"""Gradients through an exported model, by `tf.GradientTape` and by JAX."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import tensorflow as tf

from artifact.comparison import difference
from artifact.manifest import Tolerance
from exporter.errors import CheckFailed
from exporter.model import Model

# Of a parameter's gradient, whose largest number is 1.
_TOLERANCE = Tolerance(rtol=0.0, atol=1e-5)


def compare(model: Model, version_dir: Path, images: np.ndarray) -> float:
    """Compares the gradients of a random sum of a model's outputs, for each parameter.

    Args:
        model: What was exported, of one input and one output.
        version_dir: The version of it, exported with gradients.
        images: A batch of inputs that the version takes.

    Returns:
        The largest difference, relative to the largest number of the parameter's gradient.

    Raises:
        CheckFailed: it is more than 1e-5.
    """
    outputs = model.func(model.params, images)
    weights = np.random.default_rng(0).normal(size=outputs.shape).astype(np.float32)

    def loss(params: object) -> jax.Array:
        return (model.func(params, images) * weights).sum()

    loaded = tf.saved_model.load(str(version_dir))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loaded(tf.constant(images)) * weights)
    ours = tape.gradient(total, loaded.variables)
    theirs = jax.tree.leaves(jax.grad(loss)(model.params))
    worst = 0.0
    for variable, found, gradient in zip(loaded.variables, ours, theirs, strict=True):
        expected = np.asarray(gradient)
        largest = float(np.abs(expected).max(initial=0.0)) or 1.0
        error, agrees = difference(np.asarray(found) / largest, expected / largest, _TOLERANCE)
        if not agrees:
            raise CheckFailed(
                f"{version_dir}: the gradient of {variable.name} differs from JAX's by {error:.1e} "
                f"of its largest number (allowed: {_TOLERANCE.atol:.0e})"
            )
        worst = max(worst, error)
    return worst
