"""What a request's headers ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from server.protocol.grpc.method import Method
from server.protocol.http2.stream import Receiver


@dataclass(frozen=True, slots=True)
class Route:
    """A method and how it is to be called. Made once for headers that come again and again.

    Attributes:
        path: The method's.
        method: What serves it.
        kind: Makes a call of it.
        limit: Bytes of its largest request.
        timeout_s: Within which the call ends; None: never.
        encoding: Of compressed requests.
    """

    path: str
    method: Method
    kind: Callable[..., Receiver]
    limit: int
    timeout_s: float | None
    encoding: bytes
