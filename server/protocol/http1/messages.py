"""A request and a response."""

from __future__ import annotations

import http
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from server.protocol.limits import Share, Usage

PHRASES = {status.value: status.phrase for status in http.HTTPStatus} | {
    499: "Client Closed Request"
}


@dataclass(slots=True)
class Request:
    """An HTTP request with its whole body; header names are in lower case.

    Attributes:
        body: Bytes, or where it is long a bytearray, which nobody changes.
        peer: `address:port`; empty where there is none.
        is_local: The peer is on this machine.
        share: Of the budget, from which the bytes of the body are taken.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | bytearray = b""
    peer: str = ""
    is_local: bool = False
    share: Share = field(default_factory=lambda: Share(Usage()))


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
            f"HTTP/1.1 {self.status} {PHRASES.get(self.status, 'Unknown')}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
        )
        for name, value in self.headers.items():
            head += f"{name}: {value}\r\n"
        if not keep_alive:
            head += "Connection: close\r\n"
        return b"".join((head.encode("latin-1", "replace"), date, self.body if has_body else b""))


class Handler(Protocol):
    """What answers requests, whatever brought them."""

    def admit(self, request: Request) -> Response | None:
        """Looks at a request without its body; returns an answer where it isn't let in."""

    def refused(self, request: Request, response: Response) -> None:
        """Hears of a request that the protocol answers by itself; its head may be incomplete."""

    async def __call__(self, request: Request) -> Response:
        """Answers a request that was let in."""
