"""How a call ends: its status as HTTP/2 trailers.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from typing import Any

from server.errors import Code
from server.protocol.http2.header_block import encode

Metadata = Sequence[tuple[str, Any]]

# What a status message may hold as it is: printable ASCII but the percent sign.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
_MAX_MESSAGE = 4096  # characters; clients refuse trailers of more than 8 or 16 KiB

HEAD: Metadata = ((":status", "200"), ("content-type", "application/grpc"))


def trailers(code: Code, message: str = "", metadata: Metadata = ()) -> bytes:
    """Returns the header block that ends a response."""
    headers = [("grpc-status", str(int(code)))]
    if message:
        quoted = urllib.parse.quote(message[:_MAX_MESSAGE], safe=_PLAIN, errors="replace")
        headers.append(("grpc-message", quoted))
    return encode([*headers, *metadata])


def only(code: Code, message: str, metadata: Metadata = ()) -> bytes:
    """Returns the header block of a response that is nothing but a status."""
    return encode(HEAD) + trailers(code, message, metadata)


def http(status: int) -> bytes:
    """Returns the header block for a request that isn't gRPC."""
    return encode([(":status", str(status)), ("content-length", "0")])
