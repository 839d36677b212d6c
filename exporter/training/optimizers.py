"""Optimizers that several models use."""

from __future__ import annotations

import optax


def sgd_with_cosine_decay(steps: int, learning_rate: float) -> optax.GradientTransformation:
    """SGD with Nesterov momentum, whose rate falls along a cosine to 0 in so many steps.

    A constant rate of 0.001, as in JAX's own examples, is far from done after a few epochs. A rate
    a hundred times as high and decaying is; the clipping keeps it from diverging in the first
    steps, and the weight decay keeps the log-probabilities moderate.
    """
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.add_decayed_weights(1e-4),
        optax.sgd(
            optax.cosine_decay_schedule(learning_rate, max(steps, 1)), momentum=0.9, nesterov=True
        ),
    )
