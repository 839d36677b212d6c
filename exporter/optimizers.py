"""Optimizers that several models use."""

from __future__ import annotations

import optax


def adam_with_cosine_decay(steps: int, learning_rate: float) -> optax.GradientTransformation:
    """Adam, whose rate falls along a cosine from `learning_rate` to 0 in so many steps."""
    return optax.adam(optax.cosine_decay_schedule(learning_rate, max(steps, 1)))
