"""Header compression (RFC 7541): a decoder in linear time, and an encoder that uses no table.

The hpack package takes three copies of what is left of a block for each literal in it, so that
60 KB of short ones keep it busy for 60 ms and a megabyte for a quarter of a minute, and 16 µs for
a block of indices, more than all else that a call takes here. Its Huffman code and its static
table are used as they are, and tests compare the two decoders block by block.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from hpack import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from server.protocol.http2.frames import ErrorCode, Http2Error

Field = tuple[bytes, bytes]

# What a field takes beside its text, for the table (RFC 7541, 4.1) and for SETTINGS (RFC 9113,
# 6.5.2) alike.
FIELD_BYTES = 32
_STATIC: tuple[Field, ...] = tuple((name, value) for name, value in HeaderTable.STATIC_TABLE)
_TABLE_BYTES = 4096  # SETTINGS_HEADER_TABLE_SIZE, of which we send no other
_MAX_INTEGER_BYTES = 5
_SHORT = 32

# To be sent before the first header block: our encoder's table holds nothing, ever. A peer that
# lowers SETTINGS_HEADER_TABLE_SIZE insists on being told (RFC 7541, 4.2).
NO_TABLE = b"\x20"


class Decoder:
    """Decodes the header blocks of one connection.

    Attributes:
        generation: Counts the changes of the dynamic table: each insertion (which alone evicts,
            or empties it where the entry is larger than the table) and each change of its size.
    """

    def __init__(self, max_bytes: int) -> None:
        """Takes the size of the largest list of fields, each counted with `FIELD_BYTES`."""
        self._max_bytes = max_bytes
        self._entries: list[Field] = []  # the newest last
        self._used = 0
        self._capacity = _TABLE_BYTES
        self.generation = 0

    def decode(self, block: bytes) -> list[Field]:
        """Returns the fields of a block in their order.

        Raises:
            Http2Error: the block is damaged or too large; the table is of no more use.
        """
        try:
            return self._decode(block)
        except (IndexError, HPACKError) as error:
            raise _damaged(f"a damaged header block: {error}") from None

    def _decode(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        position, end, size = 0, len(block), 0
        while position < end:
            first = block[position]
            position += 1
            if first & 0x80:
                index = first & 0x7F
                if index == 0x7F:
                    index, position = _integer(block, position, 0x7F)
                field = self._field(index)
            elif first & 0x40:
                name, value, position = self._literal(block, position, first, 0x3F)
                field = name, value
                self._insert(field)
            elif first & 0x20:
                if fields:
                    raise _damaged("a change of the table's size within a header block")
                capacity, position = _prefixed(block, position, first, 0x1F)
                if capacity > _TABLE_BYTES:
                    raise _damaged("a table larger than the settings allow")
                self._capacity = capacity
                self.generation += 1
                self._evict()
                continue
            else:
                name, value, position = self._literal(block, position, first, 0x0F)
                field = name, value
            fields.append(field)
            size += len(field[0]) + len(field[1]) + FIELD_BYTES
            if size > self._max_bytes:
                raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "headers are too large")
        return fields

    def _field(self, index: int) -> Field:
        if index <= len(_STATIC):
            if not index:
                raise IndexError("index 0")
            return _STATIC[index - 1]
        return self._entries[len(_STATIC) - index]  # from the end

    def _literal(
        self, block: bytes, position: int, first: int, mask: int
    ) -> tuple[bytes, bytes, int]:
        index, position = _prefixed(block, position, first, mask)
        if index:
            name = self._field(index)[0]
        else:
            name, position = _text(block, position)
        value, position = _text(block, position)
        return name, value, position

    def _insert(self, field: Field) -> None:
        self.generation += 1
        self._entries.append(field)
        self._used += len(field[0]) + len(field[1]) + FIELD_BYTES
        self._evict()

    def _evict(self) -> None:
        excess = self._used - self._capacity
        if excess <= 0:
            return
        dropped = 0
        for name, value in self._entries:
            if excess <= 0:
                break
            size = len(name) + len(value) + FIELD_BYTES
            excess -= size
            self._used -= size
            dropped += 1
        del self._entries[:dropped]


def encode(fields: Iterable[tuple[str, Any]]) -> bytes:
    """Encodes fields as literals that enter no table, so that the bytes may be kept.

    Values are text in Latin-1, or bytes.
    """
    return b"".join(
        _short_literal(name, value) if len(value) <= _SHORT else _literal(name, value)
        for name, value in fields
    )


def _literal(name: str, value: str | bytes) -> bytes:
    if (name, value) == (":status", "200"):
        return b"\x88"
    content = value if isinstance(value, bytes) else value.encode("latin-1")
    return b"\0" + _sized(name.encode("latin-1")) + _sized(content)


_short_literal = functools.lru_cache(1024)(_literal)  # the same versions and times come again


def _sized(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    prefix = bytearray(b"\x7f")
    size -= 127
    while size >= 128:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + text


def _prefixed(block: bytes, position: int, first: int, mask: int) -> tuple[int, int]:
    """Returns the integer that begins in the low bits of a byte, and where it ends."""
    value = first & mask
    return _integer(block, position, value) if value == mask else (value, position)


def _integer(block: bytes, position: int, value: int) -> tuple[int, int]:
    """Returns what the bytes of an integer after its prefix add, and where it ends (5.1)."""
    for shift in range(0, 7 * _MAX_INTEGER_BYTES, 7):
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise _damaged("an integer of too many bytes")


def _text(block: bytes, position: int) -> tuple[bytes, int]:
    """Returns a string literal (5.2), and where it ends."""
    first = block[position]
    size, position = _prefixed(block, position + 1, first, 0x7F)
    end = position + size
    if end > len(block):
        raise IndexError("a string is cut off")
    text = block[position:end]
    return (decode_huffman(text) if first & 0x80 else text), end


def _damaged(message: str) -> Http2Error:
    return Http2Error(ErrorCode.COMPRESSION_ERROR, message)
