"""Random inputs that fit a model's specs."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from exporter.model import Model, TensorSpec

# Small enough for every vocabulary here; masks are drawn as booleans.
_LARGEST_INTEGER = 50


def random_inputs(model: Model, batch_size: int, seed: int = 0) -> Any:
    """Returns the model's input pytree with arrays; each symbolic dimension is `batch_size`."""
    random = np.random.default_rng([seed, batch_size])

    def draw(spec: TensorSpec) -> np.ndarray:
        shape = [batch_size if isinstance(size, str) else size for size in spec.shape]
        dtype = np.dtype(spec.dtype)
        if dtype == np.bool_:
            mask = random.random(shape) < 0.7
            mask[..., 0] = True
            return mask
        if dtype.kind in "iu":
            return random.integers(0, _LARGEST_INTEGER, shape, dtype)
        return random.normal(size=shape).astype(dtype)

    return jax.tree.map(draw, model.inputs)
