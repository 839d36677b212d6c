"""What all clients together, and each of them, may ask of the process, by whatever protocol."""

from __future__ import annotations

from dataclasses import dataclass

from server.errors import Code, ServingError

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds that each protocol keeps to. docs/security.md has them with how each is tested.

    Attributes:
        message_bytes: Longest body of a request, compressed and inflated alike.
        connection_bytes: Bodies that one connection may have under way, inflated ones included.
        total_bytes: The same for all connections of the process.
        connections: Of all protocols together; more are closed as they come.
        header_bytes: Headers of a request. One with more is refused by itself.
        headers_s: From a request's first byte to the end of its headers; also from the begin of a
            connection to its first request.
        body_s: Within which a body must get on by `progress_bytes`.
        progress_bytes: What counts as getting on.
        idle_s: How long a connection without a request stays open.
        write_s: How long a peer may leave an answer unread.
    """

    message_bytes: int = 128 * MIB
    connection_bytes: int = 256 * MIB
    total_bytes: int = 512 * MIB
    connections: int = 10_000
    header_bytes: int = 64 * 1024
    headers_s: float = 10.0
    body_s: float = 20.0
    progress_bytes: int = 16 * 1024
    idle_s: float = 300.0
    write_s: float = 30.0


class Usage:
    """How much of the limits is used, shared by all protocols and connections of the process.

    Attributes:
        limits: The bounds.
        connections: That are open.
        body_bytes: Of requests that aren't parsed yet.
    """

    def __init__(self, limits: Limits = Limits()) -> None:
        self.limits = limits
        self.connections = 0
        self.body_bytes = 0

    def take(self, size: int) -> None:
        """Takes note of bytes that are about to be kept; `give` gives them back.

        Raises:
            ServingError: RESOURCE_EXHAUSTED, and nothing was taken: clients may try again later.
        """
        if self.body_bytes + size > self.limits.total_bytes:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{self.body_bytes} bytes of requests are under way, "
                f"{self.limits.total_bytes} are the most this server takes on",
            )
        self.body_bytes += size

    def give(self, size: int) -> None:
        """Gives back bytes that are kept no more."""
        self.body_bytes -= size
