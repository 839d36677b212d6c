"""TFRecord files: records as they are read and written.

Each is its length (uint64, little-endian), the length's checksum, the data and the data's
checksum; a checksum is a CRC-32C, rotated and shifted by a constant.
Source: tensorflow/core/lib/io/record_writer.cc and lib/hash/crc32c.h
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from server.errors import Code, ServingError

_LENGTH_BYTES, _CRC_BYTES = 8, 4
_MASK_DELTA = 0xA282EAD8


def read(path: Path) -> Iterator[bytes]:
    """Reads the records of a file; checksums aren't looked at, the manifest's digests cover it.

    Raises:
        ServingError: DATA_LOSS where the file ends within a record.
    """
    with path.open("rb") as file:
        while header := file.read(_LENGTH_BYTES + _CRC_BYTES):
            size = struct.unpack("<Q", header[:_LENGTH_BYTES])[0] if len(header) == 12 else -1
            if size < 0 or size > path.stat().st_size:
                raise ServingError(Code.DATA_LOSS, f"{path}: truncated or damaged record")
            data = file.read(size)
            if len(data) < size or len(file.read(_CRC_BYTES)) < _CRC_BYTES:
                raise ServingError(Code.DATA_LOSS, f"{path}: truncated or damaged record")
            yield data


def framed(data: bytes) -> bytes:
    """Returns a record's bytes in a file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _checksum(length), data, _checksum(data)))


def _checksum(data: bytes) -> bytes:
    import google_crc32c

    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)
