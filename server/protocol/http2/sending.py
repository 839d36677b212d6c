"""The sending half of a connection: the peer's windows, and one write a turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from server.protocol.http2 import frames
from server.protocol.http2.flood import LOG2_BYTES_PER_UPDATE, UPDATES_PER_FRAME, FloodGate
from server.protocol.http2.frames import ErrorCode, Http2Error, StreamError, protocol_error
from server.protocol.http2.hpack import NO_TABLE
from server.protocol.http2.stream import Stream

_MAX_WAITING = 64 * 2**20  # bytes of answers that wait for windows; more requests are refused


class Sender:
    """Puts responses into frames, as far as the peer's windows allow, and keeps the rest.

    Attributes:
        initial_window: Of new streams, by the peer's settings.
        flushed: Bytes that were handed to the transport.
        is_closed: All is handed over, and what comes yet is dropped.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        answered: Callable[[Stream], None],
        flood: FloodGate,
    ) -> None:
        """Takes what is told about streams whose response is sent to its end."""
        self._transport = transport
        self._loop = loop
        self._answered = answered
        self._flood = flood
        self._window = frames.DEFAULT_WINDOW
        self._frame_bytes = frames.DEFAULT_FRAME_BYTES
        self._out: list[bytes | memoryview] = []
        self._blocked: dict[Stream, None] = {}
        self._waiting = 0
        self._first = NO_TABLE  # what the first header block begins with
        self.initial_window = frames.DEFAULT_WINDOW
        self.flushed = 0
        self.is_closed = False

    @property
    def has_room(self) -> bool:
        """Whether answers to more requests may be kept for a peer that takes none now."""
        return self._waiting <= _MAX_WAITING

    @property
    def blocked(self) -> Iterable[Stream]:
        """The streams that wait for a window."""
        return self._blocked.keys()

    def write(self, data: bytes) -> None:
        """Sends frames as they are, with all others of this turn of the loop."""
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(data)

    def flush(self) -> None:
        """Writes what has gathered."""
        if self._out:
            out = self._out
            self._out = []
            if not self.is_closed and not self._transport.is_closing():
                data = b"".join(out)
                self.flushed += len(data)
                self._transport.write(data)

    def close(self) -> None:
        """Writes what has gathered, and nothing after it."""
        self.flush()
        self.is_closed = True

    def respond(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> None:
        """Sends a whole response; head and trailers are encoded header blocks."""
        size = len(body)
        most = self._frame_bytes
        if (
            size <= self._window
            and size <= stream.send_window
            and size <= most
            and len(trailers) <= most
            and len(head) < most
            and not stream.waiting
        ):
            self._window -= size
            stream.send_window -= size
            self._flood.updates += UPDATES_PER_FRAME + (size >> LOG2_BYTES_PER_UPDATE)
            number = stream.number
            if self._first:
                head, self._first = self._first + head, b""
            self.write(
                b"".join(
                    (
                        frames.frame(frames.HEADERS, frames.END_HEADERS, number, head),
                        frames.frame(frames.DATA, 0, number, body),
                        frames.frame(
                            frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, number, trailers
                        ),
                    )
                )
            )
            self._answered(stream)
            return
        self.head(stream, head)
        self.data(stream, body)
        self.trailers(stream, trailers)

    def head(self, stream: Stream, block: bytes) -> None:
        """Sends a response's header block."""
        self._headers(stream, block, ends=False)

    def data(self, stream: Stream, body: bytes) -> None:
        """Sends a part of a response's body, as soon as the windows are open."""
        if body:
            stream.waiting.append(memoryview(body))
            self._waiting += len(body)
            self._advance(stream)

    def trailers(self, stream: Stream, block: bytes) -> None:
        """Ends a response with its trailers, after all data; empty: there are none."""
        stream.trailers = block
        self._advance(stream)

    def abandon(self, stream: Stream) -> None:
        """Drops what a stream still had to send."""
        if stream.waiting:
            self._waiting -= sum(map(len, stream.waiting))
            stream.waiting.clear()
        self._blocked.pop(stream, None)

    def widen_connection(self, increment: int) -> None:
        """Takes a WINDOW_UPDATE for the connection.

        Raises:
            Http2Error: the increment is 0, or the window gets larger than windows may be.
        """
        if not increment:
            raise protocol_error("WINDOW_UPDATE of 0")
        self._window += increment
        if self._window > frames.MAX_WINDOW:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "window out of range")
        self._advance_blocked()

    def widen(self, stream: Stream, increment: int) -> None:
        """Takes a WINDOW_UPDATE for a stream.

        Raises:
            StreamError: the increment is 0, or the window gets larger than windows may be.
        """
        if not increment:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        stream.send_window += increment
        if stream.send_window > frames.MAX_WINDOW:
            raise StreamError(ErrorCode.FLOW_CONTROL_ERROR, "window out of range")
        if stream in self._blocked:
            self._advance(stream)

    def configure(self, values: dict[int, int], streams: list[Stream]) -> None:
        """Takes the peer's settings.

        Raises:
            Http2Error: a stream's window gets larger than windows may be.
        """
        self._frame_bytes = values.get(frames.MAX_FRAME_SIZE, self._frame_bytes)
        window = values.get(frames.INITIAL_WINDOW_SIZE, self.initial_window)
        change = window - self.initial_window
        self.initial_window = window
        for stream in streams if change else ():
            stream.send_window += change
            if stream.send_window > frames.MAX_WINDOW:
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "window out of range")
        self._advance_blocked()

    def _headers(self, stream: Stream, block: bytes, *, ends: bool) -> None:
        if self._first:
            block, self._first = self._first + block, b""
        self.write(frames.headers(stream.number, block, self._frame_bytes, ends=ends))

    def _advance_blocked(self) -> None:
        for stream in list(self._blocked):
            if self._window <= 0:
                return
            self._advance(stream)

    def _advance(self, stream: Stream) -> None:
        """Sends what the windows allow of a stream; the rest waits behind other streams' data."""
        self._blocked.pop(stream, None)
        waiting = stream.waiting
        while waiting:
            part = waiting[0]
            size = min(len(part), self._window, stream.send_window, self._frame_bytes)
            if size <= 0:
                self._blocked[stream] = None
                return
            self._window -= size
            stream.send_window -= size
            stream.sent += size
            self._waiting -= size
            self._flood.updates += UPDATES_PER_FRAME + (size >> LOG2_BYTES_PER_UPDATE)
            header = frames.HEADER.pack(size >> 8, size & 0xFF, frames.DATA, 0, stream.number)
            self.write(header)
            self._out.append(part[:size])
            if size == len(part):
                waiting.popleft()
            else:
                waiting[0] = part[size:]
        if stream.trailers is not None:
            if stream.trailers:
                self._headers(stream, stream.trailers, ends=True)
            else:
                self.write(frames.frame(frames.DATA, frames.END_STREAM, stream.number))
            self._answered(stream)
