"""What a request's headers ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from server.protocol.grpc import metadata
from server.protocol.grpc.method import Method
from server.protocol.http2.hpack import Field
from server.protocol.http2.stream import Receiver


@dataclass(slots=True)
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
    _metadata: tuple[tuple[str, str | bytes], ...] | None = field(default=None, init=False)

    def metadata(self, fields: Iterable[Field]) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the metadata among the headers, which are read when it is first asked for."""
        if self._metadata is None:
            self._metadata = metadata.read(fields)
        return self._metadata
