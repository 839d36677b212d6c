"""Header blocks (HPACK, RFC 7541): decoding with a memory, encoding without tables."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from hpack import Decoder, HPACKError, OversizedHeaderListError

from server.protocol.http2.frames import ErrorCode, Http2Error

Headers = Mapping[bytes, bytes]

_MAX_REMEMBERED = 128
_SHORT = 32


class HeaderDecoder:
    """Decodes the header blocks of one connection.

    Clients send the same blocks again and again. A block's meaning depends on nothing but its
    bytes and the dynamic table, so what it meant is remembered until the table changes.
    """

    def __init__(self, max_bytes: int) -> None:
        self._decoder = Decoder(max_header_list_size=max_bytes)
        self._known: dict[bytes, Headers] = {}

    def decode(self, block: bytes) -> Headers:
        """Returns headers by lower-case name; values of a repeated one are joined by commas.

        Raises:
            Http2Error: the block is damaged or too large.
        """
        headers = self._known.get(block)
        if headers is not None:
            return headers
        before = self._table()
        try:
            pairs = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "headers are too large") from None
        except (HPACKError, UnicodeDecodeError) as error:
            raise Http2Error(ErrorCode.COMPRESSION_ERROR, str(error)) from None
        headers = _joined(pairs)
        after = self._table()
        if before != after or len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        if before == after:
            self._known[block] = headers
        return headers

    def _table(self) -> tuple[object, ...]:
        """Returns what differs after any change: every insertion makes a new entry."""
        table = self._decoder.header_table
        entries = table.dynamic_entries
        return table.maxsize, len(entries), id(entries[0]) if entries else None


def encode(headers: Iterable[tuple[str, Any]]) -> bytes:
    """Encodes headers as literals that enter no table, so that the bytes may be kept."""
    return b"".join(
        _short_literal(name, value) if len(value) <= _SHORT else _literal(name, value)
        for name, value in headers
    )


def _literal(name: str, value: str) -> bytes:
    if (name, value) == (":status", "200"):
        return b"\x88"
    return b"\0" + _string(name.encode("latin-1")) + _string(value.encode("latin-1"))


_short_literal = functools.lru_cache(1024)(_literal)  # the same versions and times come again


def _string(text: bytes) -> bytes:
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


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        headers[name] = headers[name] + b"," + value if name in headers else value
    return headers
