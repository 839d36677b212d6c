"""The sending half of a connection: the peer's windows, and one write a turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from server.protocol.http2 import frames
from server.protocol.http2.frames import ErrorCode, Http2Error, protocol_error
from server.protocol.http2.stream import Stream


class Sender:
    """Puts responses into frames, as far as the peer's windows allow, and keeps the rest."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        closed: Callable[[Stream], None],
    ) -> None:
        """Takes what is told about streams whose response is sent to its end."""
        self._transport = transport
        self._loop = loop
        self._closed = closed
        self._window = frames.DEFAULT_WINDOW
        self._frame_bytes = frames.DEFAULT_FRAME_BYTES
        self._out: list[bytes | memoryview] = []
        self._blocked: dict[Stream, None] = {}
        self.initial_window = frames.DEFAULT_WINDOW

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
            if not self._transport.is_closing():
                self._transport.write(b"".join(out))

    def respond(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> None:
        """Sends a whole response; head and trailers are encoded header blocks."""
        size = len(body)
        if (
            size <= self._window
            and size <= stream.send_window
            and size <= self._frame_bytes
            and not stream.waiting
        ):
            self._window -= size
            stream.send_window -= size
            number = stream.number
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
            self._closed(stream)
            return
        self.head(stream, head)
        self.data(stream, body)
        self.trailers(stream, trailers)

    def head(self, stream: Stream, block: bytes) -> None:
        """Sends a response's header block."""
        self.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream.number, block))

    def data(self, stream: Stream, body: bytes) -> None:
        """Sends a part of a response's body, as soon as the windows are open."""
        if body:
            stream.waiting.append(memoryview(body))
            self._advance(stream)

    def trailers(self, stream: Stream, block: bytes) -> None:
        """Ends a response with its trailers, after all data."""
        stream.trailers = block
        self._advance(stream)

    def abandon(self, stream: Stream) -> None:
        """Drops what a stream still had to send."""
        stream.waiting.clear()
        self._blocked.pop(stream, None)

    def widen(self, stream: Stream | None, increment: int) -> None:
        """Takes a WINDOW_UPDATE, for a stream or for the connection.

        Raises:
            Http2Error: the increment is 0, or the window gets larger than windows may be.
        """
        if not increment:
            raise protocol_error("WINDOW_UPDATE of 0")
        if stream is None:
            self._window += increment
        else:
            stream.send_window += increment
        if (self._window if stream is None else stream.send_window) > frames.MAX_WINDOW:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "window out of range")
        self._advance_blocked()

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

    def _advance_blocked(self) -> None:
        for stream in list(self._blocked):
            if self._window <= 0:
                return
            self._advance(stream)

    def _advance(self, stream: Stream) -> None:
        """Sends what the windows allow of a stream; a frame at a time, so that streams share."""
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
            header = frames.HEADER.pack(size >> 8, size & 0xFF, frames.DATA, 0, stream.number)
            self.write(header)
            self._out.append(part[:size])
            if size == len(part):
                waiting.popleft()
            else:
                waiting[0] = part[size:]
        if stream.trailers is not None:
            flags = frames.END_HEADERS | frames.END_STREAM
            self.write(frames.frame(frames.HEADERS, flags, stream.number, stream.trailers))
            self._closed(stream)
