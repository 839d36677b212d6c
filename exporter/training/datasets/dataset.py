"""What every source of data gives: splits of images with labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exporter.errors import UserError
from exporter.model import Examples


class DataError(UserError):
    """Data that can't be read; the message names the file and what is wrong with it."""


def scale(images: np.ndarray) -> np.ndarray:
    """Turn pixels, uint8 of any shape, into what models take: float32 from 0 to 1."""
    return np.asarray(images, np.float32) / np.float32(255)


@dataclass(frozen=True)
class Split:
    """Images with their classes.

    Attributes:
        images: uint8 [N, height, width, 1], ink is white (255) on black.
        labels: int64 [N].
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, count: int) -> Split:
        """The first `count` images (all, where there are fewer)."""
        return Split(self.images[:count], self.labels[:count])

    def examples(self, count: int) -> Examples:
        """The first `count` images as a model takes them, float32 from 0 to 1, with labels."""
        head = self.head(count)
        return Examples(scale(head.images), head.labels)


@dataclass(frozen=True)
class Dataset:
    """A split to learn from and one to measure with.

    Attributes:
        train: Learnt from.
        test: Never learnt from.
        classes: Names of the classes; a label is an index into them.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
