"""Parameters as JAX takes them."""

from __future__ import annotations

from typing import Any

import jax


def shape_of_parameter(value: Any) -> jax.ShapeDtypeStruct:
    """Returns a parameter's shape, and its dtype as JAX takes it (float64 is float32 in JAX)."""
    return jax.eval_shape(jax.numpy.asarray, value)
