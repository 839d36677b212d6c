"""What a peer has sent after requests that aren't answered yet, unparsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.protocol.http1.server import HttpServer


class Backlog:
    """The bytes of one connection; the server counts those of all.

    Attributes:
        data: What is kept.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self.data = bytearray()

    def __bool__(self) -> bool:
        return bool(self.data)

    def add(self, data: bytes | memoryview) -> bool:
        """Keeps bytes; tells whether those of all connections are within their bound."""
        server = self._server
        self.data += data
        server.backlog_bytes += len(data)
        return server.backlog_bytes <= server.max_backlog_bytes

    def take(self, size: int) -> bytes:
        """Returns the first bytes, which are kept no longer."""
        piece = bytes(self.data[:size])
        del self.data[: len(piece)]
        self._server.backlog_bytes -= len(piece)
        return piece

    def clear(self) -> None:
        """Keeps nothing any more."""
        self._server.backlog_bytes -= len(self.data)
        self.data.clear()
