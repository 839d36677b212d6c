"""Frames to requests: streams, header blocks, bodies and their flow control."""

from __future__ import annotations

from server.protocol.http2 import frames
from server.protocol.http2.closed import ClosedStreams
from server.protocol.http2.flood import FloodGate
from server.protocol.http2.frames import (
    ErrorCode,
    Http2Error,
    StreamError,
    protocol_error,
    size_error,
)
from server.protocol.http2.head import HeadReader, check_fields, malformed
from server.protocol.http2.options import Http2Options
from server.protocol.http2.sending import Sender
from server.protocol.http2.stream import Application, Stream

# Header blocks may be larger than the limit, for the table's sake; so much larger, and no more.
_READ_HEADERS = 4
# Header bytes that cost as much as a control frame: at 0.2 µs a byte, Huffman's code is the
# slowest that a peer can make us do before it is known.
_HEADER_BYTES_A_FRAME = 4096
_SMALL_DATA = 1024  # what comes in smaller pieces for a stream that is over costs a control frame


class Requests:
    """The streams of a connection, as the peer opens, fills and resets them."""

    def __init__(
        self,
        application: Application,
        sender: Sender,
        options: Http2Options,
        header_bytes: int,
        flood: FloodGate,
        now: float,
    ) -> None:
        """Takes who serves requests, and what bounds them."""
        self._application = application
        self._sender = sender
        self._options = options
        self._max_block = _READ_HEADERS * header_bytes
        self._flood = flood
        self._reader = HeadReader(self._max_block)
        self._continued: tuple[int, bool, int, bytearray] | None = None
        self._unacknowledged = 0
        self._widen_at = options.connection_window // 2
        self._widen_stream_at = options.stream_window // 2
        self._body: Stream | None = None  # whose DATA frame is coming in
        self._body_ends = False
        self._closed = ClosedStreams()
        self.now = now  # of the read that is looked at
        self.by_number: dict[int, Stream] = {}
        self.last_allowed = frames.MAX_STREAM

    @property
    def last(self) -> int:
        """The highest number of a stream that the peer has used."""
        return self._closed.last

    @property
    def header_bytes(self) -> int:
        """Bytes of a header block that isn't complete."""
        return len(self._continued[3]) if self._continued is not None else 0

    def headers(self, number: int, flags: int, payload: bytes) -> None:
        """Takes a HEADERS frame: a new request, or the trailers of one."""
        if not number & 1:
            raise protocol_error(f"HEADERS on stream {number}")
        if flags & frames.PADDED:
            payload = frames.unpadded(payload)
        parent = 0
        if flags & frames.HAS_PRIORITY:
            if len(payload) < 5:
                raise size_error("HEADERS without its priority")
            parent = int.from_bytes(payload[:4], "big") & frames.MAX_STREAM
            payload = payload[5:]
        ends = bool(flags & frames.END_STREAM)
        if len(payload) > self._max_block:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "headers are too large")
        if flags & frames.END_HEADERS:
            self._open(number, payload, ends, parent)
        else:
            self._continued = (number, ends, parent, bytearray(payload))

    def continuation(self, number: int, flags: int, payload: bytes) -> None:
        """Takes a CONTINUATION frame."""
        if self._continued is None or self._continued[0] != number:
            raise protocol_error("CONTINUATION without HEADERS")
        self._flood.spend(self.now)
        _, ends, parent, block = self._continued
        block += payload
        if len(block) > self._max_block:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "headers are too large")
        if flags & frames.END_HEADERS:
            self._continued = None
            self._open(number, bytes(block), ends, parent)

    def data_begins(self, number: int, length: int, ends: bool, padding: int = 0) -> None:
        """Takes note of a DATA frame, and of what it takes from the windows.

        Args:
            number: Its stream.
            length: Of its payload.
            ends: It ends the request.
            padding: Bytes of the payload that aren't the body's.
        """
        self._unacknowledged += length
        if self._unacknowledged > self._widen_at:
            self._widen_connection()
        stream = self.by_number.get(number)
        self._body, self._body_ends = None, ends
        try:
            if stream is None:
                self._late_data(number, length, ends)
                return
            if stream.is_complete:
                raise StreamError(ErrorCode.STREAM_CLOSED, "DATA after the request's end")
            if not length:
                self._flood.spend(self.now)
            stream.unacknowledged += length
            if stream.unacknowledged > self._widen_stream_at:
                self._widen(stream, ends)
            stream.received += length - padding
            expected = stream.expected
            if expected is not None and (
                stream.received > expected or (ends and stream.received < expected)
            ):
                raise malformed(f"content-length {expected}, and other DATA")
        except StreamError as error:
            self.refuse(number, error)
            return
        self._body = stream

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
        self._flood.spend_update(self.now)
        if len(payload) != 4:
            raise size_error("WINDOW_UPDATE of a wrong length")
        increment = int.from_bytes(payload, "big") & frames.MAX_WINDOW
        if not number:
            self._sender.widen_connection(increment)
            return
        stream = self.by_number.get(number)
        if stream is None:
            self._closed.check_used(number)
            return
        try:
            self._sender.widen(stream, increment)
        except StreamError as error:
            self.refuse(number, error)

    def reset(self, number: int, payload: bytes) -> None:
        """Takes a RST_STREAM frame: nobody waits for the response."""
        if len(payload) != 4:
            raise size_error("RST_STREAM of a wrong length")
        self._closed.check_used(number)
        self._closed.ended_by_peer(number)
        stream = self.by_number.get(number)
        if stream is not None:
            self.forget(stream)
            stream.receiver.reset()

    def reset_all(self) -> None:
        """Takes note that the connection is gone."""
        for stream in list(self.by_number.values()):
            self.forget(stream)
            stream.receiver.reset()

    def refuse(self, number: int, error: StreamError) -> None:
        """Ends a stream, and the call on it, for a fault of the peer's."""
        self._flood.spend(self.now)
        stream = self.by_number.get(number)
        if stream is not None:
            self.forget(stream)
            stream.receiver.reset()
        self._closed.ended_by_us(number)
        self._sender.write(frames.reset(number, error.code))

    def answered(self, stream: Stream) -> None:
        """Drops a stream whose response is sent, and asks for no more of its request."""
        stream.is_open = False
        del self.by_number[stream.number]
        if not stream.is_complete:
            self._closed.ended_by_us(stream.number)
            self._sender.write(frames.reset(stream.number, ErrorCode.NO_ERROR))  # 8.1

    def cancel(self, stream: Stream, code: ErrorCode) -> None:
        """Ends a stream without a response."""
        if not stream.is_open:
            return
        self.forget(stream)
        if not stream.is_complete:
            self._closed.ended_by_us(stream.number)
        self._sender.write(frames.reset(stream.number, code))

    def forget(self, stream: Stream) -> None:
        """Drops a stream that is over."""
        stream.is_open = False
        self.by_number.pop(stream.number, None)
        self._sender.abandon(stream)

    def forget_heads(self) -> None:
        """Drops what is remembered of earlier headers, on a connection that is idle."""
        self._reader.forget()

    def _open(self, number: int, block: bytes, ends: bool, parent: int) -> None:
        if len(block) > _HEADER_BYTES_A_FRAME:
            self._flood.spend(self.now, len(block) // _HEADER_BYTES_A_FRAME)
        if number <= self._closed.last:
            self._trailers(number, block, ends, parent)
            return
        self._closed.use(number)
        try:
            head = self._reader.head(block)
            if parent == number:
                raise _depends_on_itself()
            if ends and head.content_length:
                raise malformed("a content-length, and no DATA")
            if number > self.last_allowed or not self._has_room:
                raise StreamError(ErrorCode.REFUSED_STREAM, "too many requests")
        except StreamError as error:
            self.refuse(number, error)
            if ends:
                self._closed.completed(number)
            return
        stream = Stream(number, self._sender.initial_window, head.content_length)
        self.by_number[number] = stream
        stream.receiver = self._application.request(stream, head)
        if ends:
            self._complete(stream)

    @property
    def _has_room(self) -> bool:
        return len(self.by_number) < self._options.streams and self._sender.has_room

    def _trailers(self, number: int, block: bytes, ends: bool, parent: int) -> None:
        fields = self._reader.fields(block)  # in any case: its table is the connection's
        self._flood.spend(self.now)
        stream = self.by_number.get(number)
        try:
            if stream is None:
                self._closed.check(number, opens=True)
                if ends:
                    self._closed.completed(number)
                return
            if stream.is_complete:
                raise StreamError(ErrorCode.STREAM_CLOSED, "HEADERS after the request's end")
            if not ends:
                raise malformed("trailers that don't end the request")
            if parent == number:
                raise _depends_on_itself()
            check_fields(fields)
            if stream.expected not in (None, stream.received):
                raise malformed(f"content-length {stream.expected}, and other DATA")
        except StreamError as error:
            self.refuse(number, error)
            return
        self._complete(stream)

    def _late_data(self, number: int, length: int, ends: bool) -> None:
        """Takes DATA of a stream that is over."""
        if length < _SMALL_DATA:
            self._flood.spend(self.now)
        self._closed.check(number)
        if ends:
            self._closed.completed(number)

    def _widen_connection(self) -> None:
        if self._unacknowledged > self._options.connection_window:
            raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window allows")
        self._sender.write(frames.window_update(0, self._unacknowledged))
        self._unacknowledged = 0

    def _widen(self, stream: Stream, ends: bool) -> None:
        # At first, peers don't know our settings yet.
        if stream.unacknowledged > max(self._options.stream_window, frames.DEFAULT_WINDOW):
            raise StreamError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the window allows")
        if not ends:
            self._sender.write(frames.window_update(stream.number, stream.unacknowledged))
            stream.unacknowledged = 0

    def _complete(self, stream: Stream) -> None:
        stream.is_complete = True
        if stream.is_open:
            stream.receiver.end()


def _depends_on_itself() -> StreamError:
    return StreamError(
        ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself"
    )  # RFC 7540, 5.3.1
