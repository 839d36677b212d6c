"""How a call ends: its status as HTTP/2 trailers.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import urllib.parse

from server.errors import Code
from server.protocol.grpc import metadata as metadata_fields
from server.protocol.grpc.metadata import Metadata
from server.protocol.http2.hpack import encode

# What a status message may hold as it is: printable ASCII but the percent sign.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
_MAX_MESSAGE = 4096  # bytes on the wire; clients refuse trailers of more than 8 or 16 KiB

_NOT_GRPC = b"This port speaks gRPC alone: POST with content-type application/grpc.\n"
HEAD = encode([(":status", "200"), ("content-type", "application/grpc")])


def trailers(code: Code, message: str = "", metadata: Metadata = ()) -> bytes:
    """Returns the header block that ends a response."""
    fields = [("grpc-status", str(int(code)))]
    if message:
        fields.append(("grpc-message", _quoted(message)))
    block = encode(fields)
    return block + metadata_fields.write(metadata) if metadata else block


def only(code: Code, message: str, metadata: Metadata = ()) -> bytes:
    """Returns the header block of a response that is nothing but a status."""
    return HEAD + trailers(code, message, metadata)


def not_grpc(status: int) -> tuple[bytes, bytes]:
    """Returns header block and body of a response to a request that isn't gRPC."""
    fields = [
        (":status", str(status)),
        ("content-type", "text/plain"),
        ("content-length", str(len(_NOT_GRPC))),
    ]
    return encode([*fields, ("allow", "POST")] if status == 405 else fields), _NOT_GRPC


def _quoted(message: str) -> str:
    """Returns a message percent-encoded, as much of it as there is room for."""
    message = message[:_MAX_MESSAGE]
    quoted = urllib.parse.quote(message, safe=_PLAIN, errors="replace")
    while len(quoted) > _MAX_MESSAGE:
        message = message[: len(message) * _MAX_MESSAGE // len(quoted)]
        quoted = urllib.parse.quote(message, safe=_PLAIN, errors="replace")
    return quoted
