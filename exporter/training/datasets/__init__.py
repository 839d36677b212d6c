"""Images and labels from one of several sources, behind one function.

dataset = load(DataOptions("idx", Path("~/mnist")))
dataset.train.images.shape  # (60000, 28, 28, 1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from exporter.training.datasets import bundled, download, idx, quickdraw, tfds
from exporter.training.datasets.dataset import DataError, Dataset, Split, scale

__all__ = ["SOURCES", "DataError", "DataOptions", "Dataset", "Split", "load", "scale"]


@dataclass(frozen=True)
class DataOptions:
    """Where the data come from.

    Attributes:
        source: `"bundled"`, the sample of MNIST in this package (10,000 train, 2,000 test);
            `"idx"`, the files that MNIST is distributed in; `"tfds"`, TensorFlow Datasets;
            `"quickdraw_sample"`, the sample of Quick, Draw! in this package (ten classes, 80 train
            and 20 test drawings each); or `"quickdraw"`, its official bitmaps.
        data_dir: The directory of the IDX files, TFDS's data directory (None: TFDS's default), or
            the directory of Quick, Draw!'s `<class>.npy` files (None: fetched and kept in a cache).
        num_classes: Quick, Draw!'s classes.
        num_drawings: Drawings a class of the official bitmaps; every fifth is for the test.
        data_url: Where the official bitmaps are fetched from.
    """

    source: str = "bundled"
    data_dir: Path | None = None
    num_classes: int = 10
    num_drawings: int = 1000
    data_url: str = download.OFFICIAL


# A source is a function from the options, their directory expanded, to a dataset.
SOURCES: dict[str, Callable[[DataOptions, Path | None], Dataset]] = {
    "bundled": lambda options, directory: bundled.load(directory),
    "idx": lambda options, directory: idx.load(directory),
    "quickdraw": lambda options, directory: quickdraw.load(
        directory, options.num_classes, options.num_drawings, options.data_url
    ),
    "quickdraw_sample": lambda options, directory: quickdraw.load_sample(
        directory, options.num_classes
    ),
    "tfds": lambda options, directory: tfds.load(directory),
}


def load(options: DataOptions | None = None) -> Dataset:
    """Load the train and test splits into memory.

    Nothing is downloaded but Quick, Draw!'s official bitmaps where no directory is named.

    Args:
        options: Source and directory; the bundled sample of MNIST by default.

    Returns:
        The dataset, in the order of its files.

    Raises:
        DataError: A file is missing, short or corrupt; the message names it.
    """
    options = options or DataOptions()
    if options.source not in SOURCES:
        raise DataError(f"data source {options.source!r} is none of {', '.join(SOURCES)}")
    directory = options.data_dir.expanduser() if options.data_dir is not None else None
    return SOURCES[options.source](options, directory)
