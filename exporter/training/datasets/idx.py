"""MNIST's own files: the IDX format, gzipped or not (LeCun, Cortes and Burges)."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from exporter.training.datasets.dataset import DataError, Dataset, Split
from exporter.training.datasets.mnist import CLASSES, IMAGE_SHAPE

_UNSIGNED_BYTE = 0x08  # IDX's code of the element type; MNIST has no other
_GZIP = b"\x1f\x8b"


def load(directory: Path | None) -> Dataset:
    """Load `train-images-idx3-ubyte[.gz]` and its three companions from a directory.

    Raises:
        DataError: A file is missing, short, corrupt or of another shape; or no directory is given.
    """
    if directory is None:
        raise DataError("the idx source needs the directory of MNIST's files: --data_dir DIR")
    if not directory.is_dir():
        raise DataError(f"{directory}: no such directory")
    return Dataset(_split(directory, "train"), _split(directory, "t10k"), CLASSES)


def read(path: Path) -> np.ndarray:
    """Read one IDX file.

    Args:
        path: The file; whether it is gzipped is told from its content.

    Returns:
        uint8, of the shape that the file's header gives.

    Raises:
        DataError: The file is short, corrupt, or no IDX file of unsigned bytes.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if len(content) < 4:
        raise DataError(f"{path}: short: {len(content)} bytes, not even an IDX header")
    if content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{path}: not an IDX file of unsigned bytes (magic {content[:4].hex()})")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path}: short: {len(content)} bytes, not even an IDX header")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    wanted = start + int(np.prod(shape, dtype=object))
    if len(content) != wanted:
        fault = "short" if len(content) < wanted else "too long"
        raise DataError(f"{path}: {fault}: {len(content)} bytes where shape {shape} needs {wanted}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _split(directory: Path, prefix: str) -> Split:
    images_path = _find(directory, f"{prefix}-images", "idx3")
    labels_path = _find(directory, f"{prefix}-labels", "idx1")
    images, labels = read(images_path), read(labels_path)
    if images.shape[1:] != IMAGE_SHAPE[:2]:
        raise DataError(f"{images_path}: shape {images.shape} where MNIST has (N, 28, 28)")
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{labels_path}: shape {labels.shape} where {images_path.name} has {len(images)} images"
        )
    if not len(labels):
        raise DataError(f"{images_path}: holds no images")
    if labels.max() >= len(CLASSES):
        raise DataError(f"{labels_path}: label {labels.max()} where MNIST has 0 to 9")
    return Split(images[..., None], labels.astype(np.int64))


def _find(directory: Path, stem: str, rank: str) -> Path:
    # Mirrors and unpackers differ in the separator.
    names = [f"{stem}{dot}{rank}-ubyte{gz}" for dot in "-." for gz in ("", ".gz")]
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise DataError(f"{directory / names[0]}: missing (with or without .gz)")
