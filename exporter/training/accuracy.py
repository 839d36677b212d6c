"""How often a predictor is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from exporter.training.datasets.dataset import Split, scale

BATCH_SIZE = 128


def accuracy(
    predict: Callable[[np.ndarray], Any],
    split: Split,
    *,
    top: int = 1,
    batch_size: int = BATCH_SIZE,
) -> float:
    """The share of images whose label's score is among the highest, from 0 to 1.

    Args:
        predict: float32 [batch_size, height, width, 1] to scores [batch_size, classes]; JAX, a
            TensorFlow signature or anything else. Always called with full batches, the last one
            filled up with black images, so that nothing compiles twice.
        split: What to measure with.
        top: How many of the highest scores count.
        batch_size: Images in a call.
    """
    right = 0
    for start in range(0, len(split), batch_size):
        images = split.images[start : start + batch_size]
        labels = split.labels[start : start + batch_size]
        full = np.zeros((batch_size, *images.shape[1:]), images.dtype)
        full[: len(images)] = images
        scores = np.asarray(predict(scale(full)))[: len(images)]
        highest = scores.argsort(axis=-1)[:, -top:]
        right += int((highest == labels[:, None]).any(axis=-1).sum())
    return right / len(split)
