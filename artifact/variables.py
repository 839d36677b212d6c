"""Reads the variables of a SavedModel without TensorFlow, as views of the file.

A checkpoint is a "tensor bundle": an index, which is a sorted string table of LevelDB's format,
and data shards with the tensors' bytes, little-endian and one after another.
Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.h, tensorflow/core/lib/io/table.cc and
LevelDB's doc/table_format.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from wire import dtypes, tensors
from wire.serving_pb2 import BundleEntryProto

_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57
_BLOCK_TRAILER_BYTES = 5  # compression type and checksum
_UNCOMPRESSED = 0


class BundleError(ValueError):
    """A checkpoint that is damaged, or holds what this reader doesn't read."""


class Bundle:
    """The variables of a checkpoint, by key."""

    def __init__(self, prefix: Path) -> None:
        """Reads the index of the checkpoint `prefix`, for example `1/variables/variables`.

        Raises:
            FileNotFoundError: there is no such checkpoint.
            BundleError: the index is damaged.
        """
        self._prefix = prefix
        path = prefix.with_name(prefix.name + ".index")
        try:
            entries = dict(_table(path.read_bytes()))
            self._shards = _num_shards(entries.pop(b""))
            self._entries = {
                key.decode(): BundleEntryProto.FromString(value) for key, value in entries.items()
            }
        except (DecodeError, IndexError, KeyError, struct.error, ValueError) as error:
            raise BundleError(f"{path}: damaged checkpoint index ({error})") from None

    @property
    def names(self) -> list[str]:
        """The variables' keys, sorted."""
        return list(self._entries)

    def read(self, key: str) -> np.ndarray:
        """Returns a variable as a read-only view of the data file.

        Raises:
            KeyError: there is no such variable.
            BundleError: the data file is missing or too short, or the variable holds strings.
        """
        entry = self._entries[key]
        name = dtypes.name(entry.dtype)
        if name == "string":
            raise BundleError(f"{key}: variables of strings aren't read without TensorFlow")
        dtype, shape = dtypes.numpy_dtype(name), tensors.shape_of(entry.shape)
        shard = f"{self._prefix.name}.data-{entry.shard_id:05d}-of-{self._shards:05d}"
        path = self._prefix.with_name(shard)
        if entry.size != math.prod(shape) * dtype.itemsize:
            raise BundleError(f"{path}: {key} has {entry.size} bytes, its shape needs others")
        if not path.is_file() or path.stat().st_size < entry.offset + entry.size:
            raise BundleError(f"{path}: missing or truncated, {key} can't be read")
        if entry.size == 0:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, mode="r", offset=entry.offset, shape=shape)


def _num_shards(header: bytes) -> int:
    """Returns BundleHeaderProto.num_shards (field 1, a varint; absent: none)."""
    return _varint(header, 1)[0] if header[:1] == b"\x08" else 0


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    footer = data[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ValueError("not a sorted string table")
    _, position = _handle(footer, 0)  # the metaindex, which holds nothing we need
    index, _ = _handle(footer, position)
    for _, handle in _block(data, index):
        yield from _block(data, _handle(handle, 0)[0])


def _block(data: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    offset, size = handle
    block = data[offset : offset + size]
    if len(data) < offset + size + _BLOCK_TRAILER_BYTES:
        raise ValueError("a block ends behind the file's end")
    if data[offset + size] != _UNCOMPRESSED:
        raise ValueError("compressed blocks aren't supported")
    restarts = struct.unpack("<I", block[-4:])[0]
    end, position, key = size - 4 - 4 * restarts, 0, b""
    while position < end:
        shared, position = _varint(block, position)
        fresh, position = _varint(block, position)
        length, position = _varint(block, position)
        key = key[:shared] + block[position : position + fresh]
        position += fresh
        yield key, block[position : position + length]
        position += length


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    offset, position = _varint(data, position)
    size, position = _varint(data, position)
    return (offset, size), position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise ValueError("a number is too long")
