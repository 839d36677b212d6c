"""A request's headers: what RFC 9113 (8.1 to 8.3) and RFC 9110 ask of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from server.protocol.http2.frames import ErrorCode, StreamError
from server.protocol.http2.hpack import FIELD_BYTES, Decoder, Field

# RFC 9110, 5.6.2, without capitals (RFC 9113, 8.2).
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
# RFC 9113, 8.2.1: what a value may not have anywhere, and at its ends.
_FORBIDDEN = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]\Z").search
_DIGITS = re.compile(rb"[0-9]{1,18}").fullmatch
_PSEUDO = (b":method", b":scheme", b":authority", b":path")
# RFC 9113, 8.2.2.
_OF_CONNECTIONS = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)

# Of the heads that a connection keeps; what they take is about three times that.
_REMEMBERED_BYTES = 16 * 1024


class Head:
    """The headers of a request, valid.

    Attributes:
        method: `:method`, `POST`.
        path: `:path`; empty only for CONNECT.
        fields: Names and values as they came, without pseudo-headers.
        size: Of the whole list as RFC 9113 (6.5.2) counts it.
        content_length: What `content-length` says; None where it says nothing.
        note: What the application makes of these headers; kept with them for the next request
            that has the same.
    """

    __slots__ = ("content_length", "fields", "method", "note", "path", "size")

    def __init__(self, pairs: list[Field]) -> None:
        """Takes a decoded block.

        Raises:
            StreamError: the request is malformed.
        """
        pseudo: dict[bytes, bytes] = {}
        for name, value in pairs:
            if not name.startswith(b":"):
                break
            if name not in _PSEUDO or name in pseudo:
                raise malformed(f"the pseudo-header {name!r}, or two of it")
            if _FORBIDDEN(value):
                raise malformed(f"a character that {name!r} can't have")
            pseudo[name] = value
        self.fields = pairs[len(pseudo) :]
        self.method = pseudo.get(b":method", b"")
        self.path = pseudo.get(b":path", b"")
        if self.method == b"CONNECT":  # 8.5
            if b":authority" not in pseudo or b":scheme" in pseudo or b":path" in pseudo:
                raise malformed("CONNECT takes :authority alone")
        elif not (self.method and self.path and pseudo.get(b":scheme")):
            raise malformed("a request has :method, :scheme and :path, none of them empty")
        self.content_length: int | None = None
        authority = pseudo.get(b":authority")
        if authority is not None and b"@" in authority:  # 8.3.1
            raise malformed("an :authority with user information")
        check_fields(self.fields)
        for name, value in self.fields:
            if name == b"content-length":
                self._set_length(value)
            elif name == b"te" and value.lower() != b"trailers":  # 8.2.2
                raise malformed("te other than trailers")
            elif (
                name == b"host" and authority is not None and value.lower() != authority.lower()
            ):  # 8.3.1
                raise malformed("host and :authority differ")
        self.size = sum(len(name) + len(value) + FIELD_BYTES for name, value in pairs)
        self.note: Any = None

    def get(self, name: bytes) -> bytes:
        """Returns a field's value, those of a repeated one joined by commas; empty without one."""
        return b",".join(value for key, value in self.fields if key == name)

    def _set_length(self, value: bytes) -> None:
        if not _DIGITS(value):
            raise malformed("a content-length that isn't a number")
        length = int(value)
        if self.content_length not in (None, length):
            raise malformed("two content-lengths")
        self.content_length = length


def check_fields(fields: Iterable[Field]) -> None:
    """Checks fields other than pseudo-headers, in headers and in trailers alike.

    Raises:
        StreamError: the request is malformed.
    """
    for name, value in fields:
        if not _NAME(name):
            raise malformed(f"a field of the name {name!r}")
        if _FORBIDDEN(value):
            raise malformed(f"a character that {name!r} can't have")
        if name in _OF_CONNECTIONS:
            raise malformed(f"{name!r} isn't for HTTP/2")


def malformed(what: str) -> StreamError:
    """Returns the error for a request that isn't one (RFC 9113, 8.1.1)."""
    return StreamError(ErrorCode.PROTOCOL_ERROR, f"malformed: {what}")


class HeadReader:
    """Reads the header blocks of one connection, and knows again those that it has read.

    Clients send the same bytes again and again. What a block means depends on its bytes and on the
    dynamic table alone. So a head is remembered only if its block left the table as it was, by the
    table's own count of changes, and all are forgotten as soon as that count moves.
    """

    def __init__(self, max_bytes: int) -> None:
        self._decoder = Decoder(max_bytes)
        self._known: dict[bytes, Head] = {}
        self._known_bytes = 0

    def head(self, block: bytes) -> Head:
        """Returns a request's head.

        Raises:
            Http2Error: the block can't be decoded.
            StreamError: the request is malformed.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        before = self._decoder.generation
        head = Head(self.fields(block))
        if self._decoder.generation == before:
            self._remember(block, head)
        return head

    def fields(self, block: bytes) -> list[Field]:
        """Returns the fields of any block; each that comes must be read, for the table's sake.

        Raises:
            Http2Error: it can't be decoded.
        """
        before = self._decoder.generation
        fields = self._decoder.decode(block)
        if self._decoder.generation != before:
            self.forget()
        return fields

    def forget(self) -> None:
        """Drops what is remembered."""
        self._known.clear()
        self._known_bytes = 0

    def _remember(self, block: bytes, head: Head) -> None:
        size = len(block) + head.size
        if self._known_bytes + size > _REMEMBERED_BYTES:
            self.forget()
        if size <= _REMEMBERED_BYTES:
            self._known[block] = head
            self._known_bytes += size
