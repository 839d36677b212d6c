"""MNIST in a data directory of TensorFlow Datasets: read one, or write one from IDX files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from exporter.storage.staging import place, staged_directory
from exporter.training.datasets import idx
from exporter.training.datasets.dataset import DataError, Dataset, Split
from exporter.training.datasets.mnist import CLASSES

NAME = "mnist"


def load(directory: Path | None) -> Dataset:
    """Load `mnist` from TFDS's data directory; None is TFDS's own default. Downloads nothing.

    Raises:
        DataError: The directory holds no readable `mnist`.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(NAME, data_dir=directory)
        if not builder.is_prepared():
            raise DataError(
                f"{builder.data_dir}: no prepared {NAME}; write one from the IDX files with "
                f"`python -m exporter data prepare --idx DIR --data_dir {builder.data_dir_root}`"
            )
        train, test = tfds.as_numpy(builder.as_dataset(split=["train", "test"], batch_size=-1))
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        place = directory or "TFDS's data directory"
        raise DataError(f"{place}: {NAME} can't be read: {_first_line(error)}") from error
    return Dataset(_split(train), _split(test), CLASSES)


def prepare(source: Path, data_dir: Path, *, progress: Callable[[int, int], None]) -> Path:
    """Write the IDX files as TFDS's `mnist`, which `tfds.load(..., download=False)` reads.

    Written beside its place and renamed into it, so that no reader ever sees a part.

    Args:
        source: The directory of the IDX files.
        data_dir: TFDS's data directory, created where it is missing.
        progress: Called with the number of images written and to write.

    Returns:
        The directory written, `<data_dir>/mnist/<version>`.

    Raises:
        DataError: The IDX files can't be read, or there is an `mnist` already.
    """
    dataset = idx.load(source)
    import tensorflow_datasets as tfds

    total = len(dataset.train) + len(dataset.test)
    written = 0

    def examples(split: Split) -> Iterator[tuple[int, dict[str, Any]]]:
        nonlocal written
        for key, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            yield key, {"image": image, "label": label}
            written += 1
            progress(written, total)

    # TFDS's own class gives name, version and features, so that what is written is what its
    # reader expects; only the source of the examples is another.
    class FromIdx(tfds.image_classification.MNIST, skip_registration=True):  # type: ignore[call-arg]
        name = NAME

        def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
            return {"train": examples(dataset.train), "test": examples(dataset.test)}

    published = data_dir / NAME / str(FromIdx.VERSION)
    if published.exists():
        raise DataError(f"{published}: exists already; remove it to write it anew")
    tfds.disable_progress_bar()
    try:
        with (
            staged_directory(data_dir) as staged,
            redirect_stdout(StringIO()),  # where TFDS tells of downloads that there are none of
        ):
            FromIdx(data_dir=str(staged)).download_and_prepare()
            published.parent.mkdir(exist_ok=True)
            place(staged / NAME / published.name, published)
    except OSError as error:
        raise DataError(f"{data_dir}: {error.strerror or error}") from error
    return published


def _split(columns: Any) -> Split:
    return Split(np.asarray(columns["image"]), np.asarray(columns["label"], np.int64))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
