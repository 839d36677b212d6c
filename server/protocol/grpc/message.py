"""Messages in a request's body: their prefix, and compression."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable, Iterator

from server.errors import Code, ServingError

PREFIX_BYTES = 5

# zlib's windowBits for what gRPC calls gzip and deflate.
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
# What is inflated on the event loop; zlib needs a tenth of a millisecond for so much.
_AT_ONCE = 64 * 1024
# And at a time on a thread, between two looks at the budget.
_PIECE = 2 * 2**20

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])\Z")
_UNIT_S = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def timeout(value: bytes) -> float:
    """Returns the seconds in a `grpc-timeout` header.

    Raises:
        ServingError: INTERNAL where it can't be read, as in gRPC's own server.
    """
    match = _TIMEOUT.match(value)
    if match is None:
        raise ServingError(Code.INTERNAL, f"malformed grpc-timeout {value.decode('latin-1')!r}")
    return int(match[1]) * _UNIT_S[match[2]]


def too_large(size: int, limit: int) -> ServingError:
    """Returns the error for a message over the limit, in gRPC's words."""
    return ServingError(
        Code.RESOURCE_EXHAUSTED,
        f"SERVER: Received message larger than max ({size} vs. {limit})",
    )


def announced(chunks: list[bytes], size: int) -> int:
    """Returns the size that a body's prefix announces, or else what is there of it."""
    prefix = b"".join(chunks[:PREFIX_BYTES])[:PREFIX_BYTES]
    return max(int.from_bytes(prefix[1:], "big"), size - PREFIX_BYTES)


def only_one(chunks: list[bytes], size: int, limit: int) -> tuple[int, bytes]:
    """Returns the flag and the bytes of the message of a body that must hold exactly one.

    Args:
        chunks: The body.
        size: Of all of it.
        limit: The largest message.

    Raises:
        ServingError: it holds none, more or only a part of one.
    """
    if size < PREFIX_BYTES:
        raise ServingError(Code.INTERNAL, "the request has no message")
    while len(chunks[0]) < PREFIX_BYTES:
        chunks[:2] = [chunks[0] + chunks[1]]
    first = chunks[0]
    length = int.from_bytes(first[1:PREFIX_BYTES], "big")
    if length > limit:
        raise too_large(length, limit)
    if length != size - PREFIX_BYTES:
        raise ServingError(
            Code.INTERNAL,
            f"the request must be one message: {size - PREFIX_BYTES} bytes follow the prefix of "
            f"one of {length}",
        )
    body = first[PREFIX_BYTES:]
    if len(chunks) > 1:
        chunks[0] = body
        body = b"".join(chunks)
    return first[0], body


def check_flag(flag: int, encoding: bytes) -> None:
    """Checks that a message whose prefix has a flag can be inflated.

    Raises:
        ServingError: it can't.
    """
    if flag != 1:
        raise ServingError(Code.INTERNAL, f"invalid message flag {flag}")
    if encoding in (b"", b"identity"):
        raise ServingError(Code.INTERNAL, "a compressed message without grpc-encoding")
    if encoding not in _WINDOW_BITS:
        raise ServingError(
            Code.UNIMPLEMENTED, f"unsupported grpc-encoding {encoding.decode('latin-1')!r}"
        )


async def inflate(
    message: bytes, encoding: bytes, limit: int, take: Callable[[int], None]
) -> bytes:
    """Returns a compressed message inflated, on a thread where it is large.

    Args:
        message: As it came.
        encoding: A name that `check_flag` lets pass.
        limit: The largest result.
        take: Told of the bytes before they are kept; may raise a `ServingError`.

    Raises:
        ServingError: the data are damaged, or too large.
    """
    inflater = zlib.decompressobj(_WINDOW_BITS[encoding])

    def piece(data: bytes, size: int) -> bytes:
        try:
            return inflater.decompress(data, size)
        except zlib.error as error:
            raise ServingError(Code.INTERNAL, f"can't decompress the message: {error}") from None

    small = len(message) <= _AT_ONCE
    pieces = [piece(message, _AT_ONCE) if small else b""]
    total, rest = len(pieces[0]), inflater.unconsumed_tail if small else message
    take(total)
    while not inflater.eof and rest:
        found = await asyncio.to_thread(piece, rest, _PIECE)
        rest = inflater.unconsumed_tail
        total += len(found)
        if total > limit:
            raise too_large(total, limit)
        take(len(found))
        pieces.append(found)
        if not found and not rest:
            break
    if total > limit:
        raise too_large(total, limit)
    if not inflater.eof:
        raise ServingError(Code.INTERNAL, "can't decompress the message: it is cut off")
    return b"".join(pieces)


class Messages:
    """Cuts a body into messages as it comes in."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Yields flag and bytes of the messages that are complete now.

        Raises:
            ServingError: one is too large.
        """
        buffer = self._buffer
        buffer += chunk
        while len(buffer) >= PREFIX_BYTES:
            size = int.from_bytes(buffer[1:PREFIX_BYTES], "big")
            if size > self._limit:
                raise too_large(size, self._limit)
            end = PREFIX_BYTES + size
            if len(buffer) < end:
                break
            complete = buffer[0], bytes(buffer[PREFIX_BYTES:end])
            del buffer[:end]
            yield complete

    @property
    def is_empty(self) -> bool:
        """Whether no part of a message is left over."""
        return not self._buffer


def framed(message: bytes) -> bytes:
    """Returns a message with its prefix, not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message
