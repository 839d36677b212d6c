"""One request and its response on a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from server.protocol.http2.head import Head

if TYPE_CHECKING:
    from server.protocol.http2.connection import Http2Connection


class Receiver(Protocol):
    """What a request is handed to, piece by piece."""

    def data(self, chunk: bytes) -> None:
        """Takes a part of the body."""

    def end(self) -> None:
        """Takes note that the body is complete."""

    def reset(self) -> None:
        """Takes note that nobody waits for the response any more."""

    def drain(self) -> None:
        """Takes note that the connection ends as soon as its streams do."""


class Application(Protocol):
    """What serves the requests of one connection."""

    def request(self, stream: Stream, head: Head) -> Receiver:
        """Returns what takes the body of a new request.

        The head is valid, but it may be larger than `Limits.header_bytes`.
        """


# Gives a new connection its application.
Connected = Callable[["Http2Connection"], Application]


class Stream:
    """The state of a request and its response.

    Attributes:
        number: The stream's identifier on the connection.
        receiver: Takes the body.
        is_open: The response isn't sent to its end, and somebody waits for it.
        is_complete: The whole request is here.
        may_idle: The request may stay unfinished for as long as the peer likes.
        expected: Bytes of the body by its content-length; None: any.
        received: Bytes of the body so far.
        unacknowledged: Bytes since the peer's window was last widened, padding included.
        send_window: Bytes that the peer takes; below 0 after it lowered its settings.
        sent: Bytes of the response's body so far.
        waiting: Data to be sent when the windows allow it.
        trailers: The header block to be sent after all data; None: more data may come.
    """

    __slots__ = (
        "expected", "is_complete", "is_open", "may_idle", "number", "received", "receiver",
        "send_window", "sent", "trailers", "unacknowledged", "waiting",
    )  # fmt: skip

    receiver: Receiver

    def __init__(self, number: int, send_window: int, expected: int | None) -> None:
        self.number = number
        self.is_open = True
        self.is_complete = False
        self.may_idle = False
        self.expected = expected
        self.received = 0
        self.unacknowledged = 0
        self.send_window = send_window
        self.sent = 0
        self.waiting: deque[memoryview] = deque()
        self.trailers: bytes | None = None
