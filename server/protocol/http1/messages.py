"""A request and a response."""

from __future__ import annotations

import http
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

_PHRASES = {status.value: status.phrase for status in http.HTTPStatus} | {
    499: "Client Closed Request"
}


@dataclass(slots=True)
class Request:
    """An HTTP request with its whole body; header names are in lower case.

    Attributes:
        peer: `address:port`; empty where there is none.
        is_local: The peer is on this machine.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer: str = ""
    is_local: bool = False


@dataclass(slots=True)
class Response:
    """An HTTP response with its whole body."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, date: bytes, *, keep_alive: bool, has_body: bool) -> bytes:
        """Returns the bytes of the response; `Date` and `Connection` are the connection's."""
        head = (
            f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, 'Unknown')}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
        )
        for name, value in self.headers.items():
            head += f"{name}: {value}\r\n"
        if not keep_alive:
            head += "Connection: close\r\n"
        return b"".join((head.encode("latin-1", "replace"), date, self.body if has_body else b""))


Handler = Callable[[Request], Awaitable[Response]]
