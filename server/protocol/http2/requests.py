"""Frames to requests: streams, header blocks, bodies and their flow control."""

from __future__ import annotations

from collections.abc import Callable

from server.protocol.http2 import frames
from server.protocol.http2.frames import ErrorCode, Http2Error, protocol_error, size_error
from server.protocol.http2.header_block import HeaderDecoder
from server.protocol.http2.limits import Limits
from server.protocol.http2.sending import Sender
from server.protocol.http2.stream import Application, Stream


class Requests:
    """The streams of a connection, as the peer opens, fills and resets them."""

    def __init__(
        self,
        application: Application,
        sender: Sender,
        limits: Limits,
        spend: Callable[[], None],
    ) -> None:
        """Takes who serves requests, and what is called for each frame that costs us more."""
        self._application = application
        self._sender = sender
        self._limits = limits
        self._spend = spend
        self._decoder = HeaderDecoder(limits.header_bytes)
        self._continued: tuple[int, bool, bytearray] | None = None
        self._unacknowledged = 0
        self._body: Stream | None = None  # whose DATA frame is coming in
        self._body_ends = False
        self.by_number: dict[int, Stream] = {}
        self.last = 0
        self.last_allowed = frames.MAX_STREAM

    def headers(self, number: int, flags: int, payload: bytes) -> None:
        """Takes a HEADERS frame: a new request, or the trailers of one."""
        if not number & 1:
            raise protocol_error(f"HEADERS on stream {number}")
        if flags & frames.PADDED:
            payload = unpadded(payload)
        if flags & frames.HAS_PRIORITY:
            if len(payload) < 5:
                raise size_error("HEADERS without its priority")
            payload = payload[5:]
        ends = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self._open(number, payload, ends)
        else:
            self._continued = (number, ends, bytearray(payload))

    def continuation(self, number: int, flags: int, payload: bytes) -> None:
        """Takes a CONTINUATION frame."""
        if self._continued is None or self._continued[0] != number:
            raise protocol_error("CONTINUATION without HEADERS")
        self._spend()
        _, ends, block = self._continued
        block += payload
        if len(block) > self._limits.header_bytes:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "headers are too large")
        if flags & frames.END_HEADERS:
            self._continued = None
            self._open(number, bytes(block), ends)

    def data_begins(self, number: int, length: int, ends: bool) -> None:
        """Takes note of a DATA frame, and of what it takes from the windows."""
        stream = self.by_number.get(number)
        if stream is None:
            self.must_have_been_open(number)
        elif stream.is_complete:
            raise Http2Error(ErrorCode.STREAM_CLOSED, f"DATA on stream {number} after its end")
        if not length or stream is None:
            self._spend()
        self._unacknowledged += length
        if self._unacknowledged > self._limits.connection_window:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window allows")
        if self._unacknowledged > self._limits.connection_window // 2:
            self._sender.write(frames.window_update(0, self._unacknowledged))
            self._unacknowledged = 0
        if stream is not None:
            stream.unacknowledged += length
            # At first, peers don't know our settings yet.
            if stream.unacknowledged > max(self._limits.stream_window, frames.DEFAULT_WINDOW):
                raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window allows")
            if stream.unacknowledged > self._limits.stream_window // 2 and not ends:
                self._sender.write(frames.window_update(number, stream.unacknowledged))
                stream.unacknowledged = 0
        self._body, self._body_ends = stream, ends

    def data(self, chunk: bytes) -> None:
        """Hands a part of a body on, unless its stream is over."""
        stream = self._body
        if stream is not None and stream.is_open:
            stream.receiver.data(chunk)

    def data_ends(self) -> None:
        """Takes note that a DATA frame is complete."""
        stream, self._body = self._body, None
        if stream is not None and self._body_ends:
            self._complete(stream)

    def window_update(self, number: int, payload: bytes) -> None:
        """Takes a WINDOW_UPDATE frame."""
        if len(payload) != 4:
            raise size_error("WINDOW_UPDATE of a wrong length")
        stream = self.by_number.get(number)
        if number and stream is None:
            self.must_have_been_open(number)
            return
        self._sender.widen(stream, int.from_bytes(payload, "big") & frames.MAX_WINDOW)

    def reset(self, number: int, payload: bytes) -> None:
        """Takes a RST_STREAM frame: nobody waits for the response."""
        if len(payload) != 4:
            raise size_error("RST_STREAM of a wrong length")
        stream = self.by_number.get(number)
        if stream is None:
            self.must_have_been_open(number)
            return
        self.forget(stream)
        stream.receiver.reset()

    def reset_all(self) -> None:
        """Takes note that the connection is gone."""
        for stream in list(self.by_number.values()):
            self.forget(stream)
            stream.receiver.reset()

    def forget(self, stream: Stream) -> None:
        """Drops a stream that is over."""
        stream.is_open = False
        self.by_number.pop(stream.number, None)
        self._sender.abandon(stream)

    def must_have_been_open(self, number: int) -> None:
        """Checks that a stream which isn't known is over, not yet to come.

        Raises:
            Http2Error: it never was open.
        """
        if not number & 1 or number > self.last:
            raise protocol_error(f"a frame for stream {number}, which isn't open")

    def _open(self, number: int, block: bytes, ends: bool) -> None:
        headers = self._decoder.decode(block)  # in any case: its table is the connection's
        stream = self.by_number.get(number)
        if stream is not None:
            self._spend()
            if stream.is_complete:
                raise Http2Error(ErrorCode.STREAM_CLOSED, "HEADERS after the request's end")
            if not ends:
                raise protocol_error("trailers must end the request")
            self._complete(stream)
            return
        if number <= self.last:  # trailers of a request that was answered before its end
            self._spend()
            return
        self.last = number
        if number > self.last_allowed or len(self.by_number) >= self._limits.streams:
            self._spend()
            self._sender.write(frames.reset(number, ErrorCode.REFUSED_STREAM))
            return
        stream = Stream(number, self._sender.initial_window)
        self.by_number[number] = stream
        stream.receiver = self._application.request(stream, headers)
        if ends:
            self._complete(stream)

    def _complete(self, stream: Stream) -> None:
        stream.is_complete = True
        if stream.is_open:
            stream.receiver.end()


def unpadded(payload: bytes) -> bytes:
    """Returns a padded frame's payload.

    Raises:
        Http2Error: the padding is longer than the frame.
    """
    if not payload or payload[0] >= len(payload):
        raise protocol_error("more padding than payload")
    return payload[1 : len(payload) - payload[0]]
