"""Metadata: what travels in headers and trailers beside HTTP/2's and gRPC's own fields.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Custom-Metadata".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from server.protocol.http2.hpack import Field, encode

# What gRPC's own servers keep to themselves, too.
_RESERVED = frozenset(
    {
        b"te", b"content-type", b"content-length", b"host", b"grpc-timeout", b"grpc-encoding",
        b"grpc-accept-encoding", b"grpc-message-type",
    }
)  # fmt: skip

_PRINTABLE = re.compile(rb"[ -~]*").fullmatch

Metadata = Iterable[tuple[str, str | bytes]]


def read(fields: Iterable[Field]) -> tuple[tuple[str, str | bytes], ...]:
    """Returns a request's metadata: values are bytes where the name ends in `-bin`."""
    found: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name in _RESERVED:
            continue
        key = name.decode("latin-1")
        if name.endswith(b"-bin"):
            found += ((key, _bytes(part)) for part in value.split(b","))
        else:
            found.append((key, value.decode("latin-1")))
    return tuple(found)


def write(metadata: Metadata) -> bytes:
    """Returns metadata as a part of a header block.

    Raises:
        ValueError: a value is text that isn't Latin-1, or has a character that no header has.
    """
    return encode([(name := key.lower(), _value(name, value)) for key, value in metadata])


def _value(key: str, value: str | bytes) -> str | bytes:
    if key.endswith("-bin"):
        content = value if isinstance(value, bytes) else value.encode()
        return base64.b64encode(content).rstrip(b"=")
    text = value if isinstance(value, bytes) else value.encode("latin-1")
    if not _PRINTABLE(text):
        raise ValueError(f"metadata {key}: {value!r} isn't printable ASCII")
    return text.strip(b" ")


def _bytes(value: bytes) -> bytes:
    """Returns what a binary value stands for; itself where it isn't Base64."""
    try:
        return base64.b64decode(value.strip() + b"=" * (-len(value.strip()) % 4), validate=True)
    except binascii.Error:
        return value
