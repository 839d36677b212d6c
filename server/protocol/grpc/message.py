"""Messages in a request's body: their prefix, and compression."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from server.errors import Code, ServingError

PREFIX_BYTES = 5

# zlib's windowBits for what gRPC calls gzip and deflate.
_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
ACCEPTED = "identity,deflate,gzip"

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


def only_one(chunks: Sequence[bytes], encoding: bytes, limit: int) -> bytes:
    """Returns the message of a body that must hold exactly one.

    Raises:
        ServingError: it holds none, more or only a part of one, or it can't be decompressed.
    """
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if len(body) < PREFIX_BYTES:
        raise ServingError(Code.INTERNAL, "the request has no message")
    size = int.from_bytes(body[1:PREFIX_BYTES], "big")
    if size > limit:
        raise too_large(size, limit)
    if size != len(body) - PREFIX_BYTES:
        raise ServingError(
            Code.INTERNAL,
            f"the request must be one message: {len(body) - PREFIX_BYTES} bytes follow the "
            f"prefix of one of {size}",
        )
    message = body[PREFIX_BYTES:]
    return message if not body[0] else decompress(body[0], message, encoding, limit)


def decompress(flag: int, message: bytes, encoding: bytes, limit: int) -> bytes:
    """Returns a message whose prefix has a flag, decompressed.

    Raises:
        ServingError: the encoding is unknown, the data are damaged or too large.
    """
    if flag != 1:
        raise ServingError(Code.INTERNAL, f"invalid message flag {flag}")
    if encoding in (b"", b"identity"):
        raise ServingError(Code.INTERNAL, "a compressed message without grpc-encoding")
    if encoding not in _WINDOW_BITS:
        raise ServingError(
            Code.UNIMPLEMENTED, f"unsupported grpc-encoding {encoding.decode('latin-1')!r}"
        )
    inflater = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        plain = inflater.decompress(message, limit + 1)
    except zlib.error as error:
        raise ServingError(Code.INTERNAL, f"can't decompress the message: {error}") from None
    if len(plain) > limit:
        raise too_large(len(plain), limit)
    if not inflater.eof:
        raise ServingError(Code.INTERNAL, "can't decompress the message: it is cut off")
    return plain


class Messages:
    """Cuts a body into messages as it comes in."""

    def __init__(self, encoding: bytes, limit: int) -> None:
        self._encoding = encoding
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Returns the messages that are complete now.

        Raises:
            ServingError: one is too large or damaged.
        """
        buffer = self._buffer
        buffer += chunk
        complete = []
        while len(buffer) >= PREFIX_BYTES:
            size = int.from_bytes(buffer[1:PREFIX_BYTES], "big")
            if size > self._limit:
                raise too_large(size, self._limit)
            if len(buffer) < PREFIX_BYTES + size:
                break
            flag = buffer[0]
            message = bytes(buffer[PREFIX_BYTES : PREFIX_BYTES + size])
            del buffer[: PREFIX_BYTES + size]
            if flag:
                message = decompress(flag, message, self._encoding, self._limit)
            complete.append(message)
        return complete

    @property
    def is_empty(self) -> bool:
        """Whether no part of a message is left over."""
        return not self._buffer


def framed(message: bytes) -> bytes:
    """Returns a message with its prefix, not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message
