"""Images and labels from one of several sources, behind one function.

dataset = load(DataOptions("idx", Path("~/mnist")))
dataset.train.images.shape  # (60000, 28, 28, 1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.datasets import bundled, idx, tfds
from exporter.datasets.dataset import DataError, Dataset, Split, scale

__all__ = ["SOURCES", "DataError", "DataOptions", "Dataset", "Split", "load", "scale"]

# A source is a function from its directory (None where the user named none) to a dataset.
SOURCES: dict[str, Callable[[Path | None], Dataset]] = {
    "bundled": bundled.load,
    "idx": idx.load,
    "tfds": tfds.load,
}


@dataclass(frozen=True)
class DataOptions:
    """Where the data come from.

    Attributes:
        source: `"bundled"`, the sample of MNIST in this package (10,000 train, 2,000 test);
            `"idx"`, the files that MNIST is distributed in; or `"tfds"`, TensorFlow Datasets.
        data_dir: The directory of the IDX files, or TFDS's data directory (None: TFDS's default).
    """

    source: str = "bundled"
    data_dir: Path | None = None


def load(options: DataOptions | None = None) -> Dataset:
    """Load the train and test splits into memory; nothing is ever downloaded.

    Args:
        options: Source and directory; the bundled sample by default.

    Returns:
        The dataset, in the order of its files.

    Raises:
        DataError: A file is missing, short or corrupt; the message names it.
    """
    options = options or DataOptions()
    if options.source not in SOURCES:
        raise DataError(f"data source {options.source!r} is none of {', '.join(SOURCES)}")
    directory = options.data_dir.expanduser() if options.data_dir is not None else None
    return SOURCES[options.source](directory)
