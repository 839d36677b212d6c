"""The first rows of a .npy file of drawings, whether the file is whole or was cut after them.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exporter.training.datasets.dataset import DataError

HEADER_LIMIT = 1024  # bytes; NumPy writes 80 or 128 for these files
ROW = 28 * 28


@dataclass(frozen=True)
class Header:
    """What a file of drawings says of itself.

    Attributes:
        rows: Drawings in the whole file.
        offset: Bytes before the first of them.
    """

    rows: int
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self.end(self.rows)

    def end(self, rows: int) -> int:
        """Bytes up to the end of the first so many rows."""
        return self.offset + rows * ROW


def parse_header(start: bytes, name: str) -> Header:
    """Read the header from a file's first bytes.

    Args:
        start: At least the header, `HEADER_LIMIT` bytes where there are so many.
        name: The file, for messages.

    Raises:
        DataError: These aren't the first bytes of a uint8 [N, 784] array in C order.
    """
    stream = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read(stream)
    except (ValueError, KeyError, EOFError) as error:
        raise DataError(f"{name}: no .npy file: {error}") from error
    if dtype != np.uint8 or fortran_order or len(shape) != 2 or shape[1] != ROW:
        raise DataError(f"{name}: {dtype} {list(shape)} where drawings are uint8 [N, {ROW}]")
    return Header(shape[0], stream.tell())


def read_rows(path: Path, count: int) -> np.ndarray:
    """Read the first rows.

    Returns:
        uint8 [count, 784].

    Raises:
        DataError: The file can't be read, is no file of drawings, or holds fewer.
    """
    try:
        with path.open("rb") as file:
            header = parse_header(file.read(HEADER_LIMIT), str(path))
            file.seek(header.offset)
            content = file.read(count * ROW)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    if len(content) < count * ROW:
        raise DataError(f"{path}: holds {len(content) // ROW} drawings; {count} are needed")
    return np.frombuffer(content, np.uint8).reshape(count, ROW)
