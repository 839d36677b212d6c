"""What all clients together, and each of them, may ask of the process, by whatever protocol."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Protocol

from server.errors import Code, ServingError

MIB = 2**20
# What a peer may send on, and for how long, once our half of its connection is ended. A socket that
# is closed with something unread is reset, and a reset may take the last answers from a peer that
# hasn't read them yet (RFC 9112, 9.6).
LINGER_BYTES = 4 * MIB
LINGER_S = 2.0
_SHED_FRACTION = 100  # of the connections, that many make room at a time: looking for them costs


@dataclass(frozen=True)
class Limits:
    """Bounds that each protocol keeps to. docs/security.md has them with how each is tested.

    Attributes:
        message_bytes: Longest body of a request, compressed and inflated alike.
        connection_bytes: Bodies that one connection may have under way, inflated ones included.
        total_bytes: The same for all connections of the process. Answers that clients haven't read
            yet may be as many bytes again.
        connections: Of all protocols together. One more takes the place of one that waits.
        header_bytes: Headers of a request. One with more is refused by itself.
        header_count: How many headers a request may have.
        headers_s: From a request's first byte to the end of its headers; also from the begin of a
            connection to its first request (HTTP/2: to its settings).
        body_s: Within which a body must get on by `progress_bytes`.
        progress_bytes: What counts as getting on, for bodies and for the reading of answers.
        idle_s: How long a connection without a request stays open.
        write_s: Within which a peer must read `progress_bytes` of its answer.
    """

    message_bytes: int = 128 * MIB
    connection_bytes: int = 256 * MIB
    total_bytes: int = 512 * MIB
    connections: int = 10_000
    header_bytes: int = 64 * 1024
    header_count: int = 256
    headers_s: float = 10.0
    body_s: float = 20.0
    progress_bytes: int = 16 * 1024
    idle_s: float = 300.0
    write_s: float = 30.0


class Sheddable(Protocol):
    """A connection, as far as others may need its place."""

    @property
    def waits_since(self) -> float | None:
        """The loop's time since when it has had no request that was let in; None: it has one."""

    def shed(self) -> None:
        """Ends at once and without an answer; `Usage.leave` follows now or soon."""


class Usage:
    """How much of the limits is used, shared by all protocols and connections of the process.

    Attributes:
        limits: The bounds.
        connections: That are open.
        body_bytes: Of requests that aren't answered yet.
        unread_bytes: Of answers that wait for their clients to read them.
    """

    def __init__(self, limits: Limits = Limits()) -> None:
        self.limits = limits
        self.connections: set[Sheddable] = set()
        self.body_bytes = 0
        self.unread_bytes = 0
        self._unread: dict[Sheddable, int] = {}  # by connection, which waits longest first

    def enter(self, connection: Sheddable) -> bool:
        """Takes note of a new connection; where all places are taken, those that waited longest go.

        Returns:
            Whether there is a place for it: there is none where all others are being served.
        """
        if len(self.connections) >= self.limits.connections:
            self._shed()
            if len(self.connections) >= self.limits.connections:
                return False
        self.connections.add(connection)
        return True

    def leave(self, connection: Sheddable) -> None:
        """Forgets a connection, known or not."""
        self.connections.discard(connection)
        self.forget_unread(connection)

    def keep_unread(self, connection: Sheddable, size: int) -> None:
        """Takes note of answers that a client doesn't read as fast as they are written.

        Where they are too many bytes, the connections end that wait longest to be read from; a
        single answer may be of any size.
        """
        self.forget_unread(connection)
        self._unread[connection] = size
        self.unread_bytes += size
        while self.unread_bytes > self.limits.total_bytes and len(self._unread) > 1:
            longest = next(iter(self._unread))
            self.forget_unread(longest)
            longest.shed()

    def forget_unread(self, connection: Sheddable) -> None:
        """Takes note that a client has read its answers, or is gone."""
        self.unread_bytes -= self._unread.pop(connection, 0)

    def _shed(self) -> None:
        waiting = (
            (since, number, connection)
            for number, connection in enumerate(self.connections)
            if (since := connection.waits_since) is not None
        )
        for _, _, connection in heapq.nsmallest(
            max(self.limits.connections // _SHED_FRACTION, 1), waiting
        ):
            self.connections.discard(connection)
            connection.shed()


class Share:
    """One connection's part of the usage."""

    __slots__ = ("_usage", "taken")

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self.taken = 0

    def take(self, size: int) -> None:
        """Takes note of bytes that are about to be kept.

        Raises:
            ServingError: RESOURCE_EXHAUSTED, and nothing was taken: clients may try again later.
        """
        usage, limits = self._usage, self._usage.limits
        taken, total = self.taken + size, usage.body_bytes + size
        if taken <= limits.connection_bytes and total <= limits.total_bytes:
            self.taken, usage.body_bytes = taken, total  # each request comes by here
            return
        if taken > limits.connection_bytes:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{self.taken} bytes of requests are under way on this connection, "
                f"{limits.connection_bytes} are the most that one may have",
            )
        raise ServingError(
            Code.RESOURCE_EXHAUSTED,
            f"{usage.body_bytes} bytes of requests are under way, "
            f"{limits.total_bytes} are the most this server takes on",
        )

    def give(self, size: int) -> None:
        """Gives back bytes that are kept no more; after `close` there is nothing to give."""
        size = min(size, self.taken)
        self.taken -= size
        self._usage.body_bytes -= size

    def close(self) -> None:
        """Gives back all: the connection is gone."""
        self.give(self.taken)
