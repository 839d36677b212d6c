"""Quick, Draw!: 28×28 drawings of everyday things (Google, CC BY 4.0).

The bitmaps come from a directory of the official `<class>.npy` files, or, of those, only the rows
that are needed from Google's public storage; or from the sample of ten classes in this package.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from exporter.storage.cache import cache_directory
from exporter.training.datasets import download
from exporter.training.datasets.dataset import DataError, Dataset, Split
from exporter.training.datasets.npy import read_rows

HERE = Path(__file__)
SAMPLE = HERE.with_name("quickdraw_sample.npz")
IMAGE_SHAPE = (28, 28, 1)
TEST_SHARE = 5  # one drawing in so many is kept for the test


def class_names() -> tuple[str, ...]:
    """The 345 classes: the sample's ten first, then the others by alphabet."""
    return tuple(HERE.with_name("quickdraw_classes.txt").read_text("utf-8").splitlines())


def choose(num_classes: int) -> tuple[str, ...]:
    """The first so many classes.

    Raises:
        DataError: There are not so many, or fewer than two are asked for.
    """
    names = class_names()
    if not 2 <= num_classes <= len(names):
        raise DataError(f"num_classes is {num_classes}; Quick, Draw! has 2 to {len(names)}")
    return names[:num_classes]


def load(
    directory: Path | None,
    num_classes: int,
    num_drawings: int,
    base_url: str = download.OFFICIAL,
) -> Dataset:
    """Load the first drawings of each class from the official `<class>.npy` files.

    Args:
        directory: Holds a file for each class that is asked for, whole or its first rows. None:
            the rows that are needed are fetched and kept in the user's cache.
        num_classes: How many classes.
        num_drawings: How many drawings a class; every fifth is for the test.
        base_url: Where to fetch from.

    Raises:
        DataError: A file is missing, too short, or isn't a file of drawings; the message names it.
    """
    names = choose(num_classes)
    if num_drawings < TEST_SHARE:
        raise DataError(f"num_drawings is {num_drawings}; take {TEST_SHARE} or more")
    if directory is None:
        directory = cache_directory("quickdraw")
        _fetch(names, directory, num_drawings, base_url)
    elif not directory.is_dir():
        raise DataError(f"{directory}: no such directory")
    return _dataset(names, [read_rows(directory / f"{name}.npy", num_drawings) for name in names])


def load_sample(directory: Path | None, num_classes: int) -> Dataset:
    """Load 80 train and 20 test drawings a class from the sample in this package.

    Raises:
        DataError: The sample has fewer classes, a directory was named, or the installation is
            damaged.
    """
    if directory is not None:
        raise DataError(f"{directory}: the bundled sample has no data directory; name a source")
    names = choose(num_classes)
    try:
        with np.load(SAMPLE) as arrays:
            available, drawings = arrays["classes"].tolist(), arrays["drawings"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{SAMPLE}: {error}; reinstall the package") from error
    if num_classes > len(available):
        raise DataError(
            f"num_classes is {num_classes}; the bundled sample has {len(available)}: take more "
            "from Google's public storage with --data_source quickdraw"
        )
    return _dataset(names, list(drawings[:num_classes]))


def _fetch(names: Sequence[str], directory: Path, num_drawings: int, base_url: str) -> None:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    console = Console(stderr=True)
    bar = Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("drawings of each class", total=len(names))
        download.fetch(
            names,
            directory,
            num_drawings,
            base_url=base_url,
            progress=lambda done: bar.update(task, completed=done),
        )


def _dataset(names: Sequence[str], drawings: Sequence[np.ndarray]) -> Dataset:
    """Splits each class: of five drawings, four to learn from and the last to measure with."""
    images = np.stack(drawings).reshape(len(names), -1, *IMAGE_SHAPE)
    count = images.shape[1]
    is_test = np.arange(count) % TEST_SHARE == TEST_SHARE - 1
    splits = []
    for chosen in (~is_test, is_test):
        # By turns of the classes, so that the first images show all of them.
        part = images[:, chosen].swapaxes(0, 1).reshape(-1, *IMAGE_SHAPE)
        labels = np.tile(np.arange(len(names), dtype=np.int64), int(chosen.sum()))
        splits.append(Split(np.ascontiguousarray(part), labels))
    return Dataset(splits[0], splits[1], tuple(names))
