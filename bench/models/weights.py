"""Random weights from a fixed seed, without compiling what draws them."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np


def draw(shapes: Any, seed: int = 0) -> Any:
    """Returns parameters of the shapes of a tree, as `jax.eval_shape` gives it, in float32.

    Vectors called `scale` are ones and other vectors zeros; all else is normal with a variance of
    2 over the number of inputs (He et al., "Delving Deep into Rectifiers"), so that activations
    keep their size.
    """
    rng = np.random.default_rng(seed)

    def one(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        if len(leaf.shape) == 1:
            return np.full(leaf.shape, path[-1].key == "scale", np.float32)
        deviation = math.sqrt(2 / math.prod(leaf.shape[:-1]))
        return rng.standard_normal(leaf.shape, np.float32) * np.float32(deviation)

    return jax.tree_util.tree_map_with_path(one, shapes)
