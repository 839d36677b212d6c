"""One request and its response on a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from server.protocol.http2.header_block import Headers

if TYPE_CHECKING:
    from server.protocol.http2.connection import Connection


class Receiver(Protocol):
    """What a request is handed to, piece by piece."""

    def data(self, chunk: bytes) -> None:
        """Takes a part of the body."""

    def end(self) -> None:
        """Takes note that the body is complete."""

    def reset(self) -> None:
        """Takes note that nobody waits for the response any more."""


class Application(Protocol):
    """What serves the requests of one connection."""

    def request(self, stream: Stream, headers: Headers) -> Receiver:
        """Returns what takes the body of a new request."""


# Gives a new connection its application.
Connected = Callable[["Connection"], Application]


class Stream:
    """The state of a request and its response.

    Attributes:
        number: The stream's identifier on the connection.
        receiver: Takes the body.
        is_open: The response isn't sent to its end, and somebody waits for it.
        is_complete: The whole request is here.
        may_idle: The request may stay unfinished for as long as the peer likes.
        unacknowledged: Bytes of the body since the peer's window was last widened.
        send_window: Bytes that the peer takes; below 0 after it lowered its settings.
        waiting: Data to be sent when the windows allow it.
        trailers: The header block to be sent after all data; None: more data may come.
    """

    __slots__ = (
        "is_complete", "is_open", "may_idle", "number", "receiver", "send_window", "trailers",
        "unacknowledged", "waiting",
    )  # fmt: skip

    receiver: Receiver

    def __init__(self, number: int, send_window: int) -> None:
        self.number = number
        self.is_open = True
        self.is_complete = False
        self.may_idle = False
        self.unacknowledged = 0
        self.send_window = send_window
        self.waiting: deque[memoryview] = deque()
        self.trailers: bytes | None = None
