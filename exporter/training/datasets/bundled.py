"""The sample of MNIST in this package, so that everything runs offline."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from exporter.training.datasets.dataset import DataError, Dataset, Split
from exporter.training.datasets.mnist import CLASSES

SAMPLE = Path(__file__).with_name("mnist_sample.npz")


def load(directory: Path | None = None) -> Dataset:
    """Load 10,000 train and 2,000 test images, each split cut from MNIST's own, by class.

    Raises:
        DataError: The installation is damaged, or a directory was named.
    """
    if directory is not None:
        raise DataError(
            f"{directory}: the bundled sample has no directory; add --data_source idx or tfds"
        )
    try:
        with np.load(SAMPLE) as arrays:
            return Dataset(
                Split(arrays["train_images"], arrays["train_labels"].astype(np.int64)),
                Split(arrays["test_images"], arrays["test_labels"].astype(np.int64)),
                CLASSES,
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{SAMPLE}: {error}; reinstall the package") from error
