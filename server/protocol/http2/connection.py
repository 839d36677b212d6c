"""One connection: settings, pings, limits, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from server.protocol import sockets
from server.protocol.http2 import frames
from server.protocol.http2.frames import ErrorCode, Http2Error, protocol_error, size_error
from server.protocol.http2.limits import Budget, Limits
from server.protocol.http2.reading import FrameReader
from server.protocol.http2.requests import Requests, unpadded
from server.protocol.http2.sending import Sender
from server.protocol.http2.stream import Connected, Stream

logger = logging.getLogger(__name__)

_MAX_UNREAD = 4 * 2**20  # bytes of answers that a peer may leave before we stop reading, too
_DRAIN_PING = b"draining"


class Connection(asyncio.Protocol):
    """Serves the requests of one peer."""

    sender: Sender
    peer: str
    is_local: bool

    def __init__(
        self,
        connected: Connected,
        limits: Limits,
        opened: Callable[[Connection], None],
        closed: Callable[[Connection], None],
    ) -> None:
        """Takes what serves the requests, and who is told of the connection's begin and end."""
        self._connected = connected
        self._limits = limits
        self._opened = opened
        self._closed = closed
        self._has_settings = False
        self._received = 0
        self._is_draining = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends our settings."""
        limits = self._limits
        self._transport = transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._budget = Budget(limits, self._loop.time())
        self._reader = FrameReader(self, limits)
        self.peer = _peer(transport)
        self.is_local = sockets.is_local(transport.get_extra_info("peername"))
        self.sender = Sender(transport, self._loop, self._answered)
        self._requests = Requests(self._connected(self), self.sender, limits, self._spend)
        self.data_begins = self._requests.data_begins
        self.data = self._requests.data
        self.data_ends = self._requests.data_ends
        transport.set_write_buffer_limits(_MAX_UNREAD)
        values = {
            frames.MAX_CONCURRENT_STREAMS: limits.streams,
            frames.INITIAL_WINDOW_SIZE: limits.stream_window,
            frames.MAX_FRAME_SIZE: limits.frame_bytes,
            frames.MAX_HEADER_LIST_SIZE: limits.header_bytes,
        }
        wider = limits.connection_window - frames.DEFAULT_WINDOW
        self.sender.write(frames.settings(values) + frames.window_update(0, wider))
        self._be_patient()
        self._opened(self)

    def data_received(self, data: bytes) -> None:
        """Takes what came in."""
        self._received += len(data)
        if self._transport.is_closing():
            return
        try:
            self._reader.feed(data)
        except Http2Error as error:
            logger.info("%s: %s (%s)", self.peer, error, error.code.name)
            self._fail(error.code, str(error))
        self._watch()

    def connection_lost(self, error: Exception | None) -> None:
        """Tells all requests under way that nobody waits any more."""
        if self._patience is not None:
            self._patience.cancel()
        self._requests.reset_all()
        self._closed(self)

    def pause_writing(self) -> None:
        """Takes nothing more from a peer that doesn't read its answers."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Goes on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def drain(self) -> None:
        """Asks the peer to send no more requests; the connection ends with the last answer.

        In two steps, as RFC 9113 (6.8) has it: requests that are on their way now are served.
        """
        if not self._is_draining and not self._transport.is_closing():
            self._is_draining = True
            self.sender.write(
                frames.go_away(frames.MAX_STREAM, ErrorCode.NO_ERROR)
                + frames.frame(frames.PING, 0, 0, _DRAIN_PING)
            )

    def close(self) -> None:
        """Ends the connection at once."""
        self._fail(ErrorCode.NO_ERROR, "")

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Ends one stream without an answer."""
        if stream.is_open:
            self._requests.forget(stream)
            self.sender.write(frames.reset(stream.number, code))
            self._end_if_drained()

    def frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Takes a frame, but the DATA that `requests` gets.

        Raises:
            Http2Error: it isn't allowed here, or once too often.
        """
        if not self._has_settings and (kind != frames.SETTINGS or flags & frames.ACK):
            raise protocol_error("the first frame must be SETTINGS")
        if kind == frames.HEADERS:
            self._requests.headers(number, flags, payload)
        elif kind == frames.CONTINUATION:
            self._requests.continuation(number, flags, payload)
        else:
            self._spend()
            if (handler := _HANDLERS.get(kind)) is not None:
                handler(self, flags, number, payload)

    def _padded_data(self, flags: int, number: int, payload: bytes) -> None:
        self._requests.data_begins(number, len(payload), bool(flags & frames.END_STREAM))
        if chunk := unpadded(payload):
            self._requests.data(chunk)
        self._requests.data_ends()

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise protocol_error("SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise size_error("an acknowledgement of SETTINGS with a payload")
            return
        self._has_settings = True
        streams = list(self._requests.by_number.values())
        self.sender.configure(frames.read_settings(payload), streams)
        self.sender.write(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise protocol_error("PING on a stream")
        if len(payload) != 8:
            raise size_error("PING of a wrong length")
        if not flags & frames.ACK:
            self.sender.write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif self._is_draining and payload == _DRAIN_PING:
            self._requests.last_allowed = self._requests.last
            self.sender.write(frames.go_away(self._requests.last, ErrorCode.NO_ERROR))
            self._end_if_drained()

    def _window_update(self, flags: int, number: int, payload: bytes) -> None:
        self._requests.window_update(number, payload)

    def _rst_stream(self, flags: int, number: int, payload: bytes) -> None:
        self._requests.reset(number, payload)
        self._end_if_drained()

    def _priority(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) != 5 or not number:
            raise size_error("PRIORITY of a wrong length, or on no stream")

    def _go_away(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) < 8 or number:
            raise size_error("GOAWAY of a wrong length, or on a stream")

    def _push_promise(self, flags: int, number: int, payload: bytes) -> None:
        raise protocol_error("PUSH_PROMISE from a client")

    def _answered(self, stream: Stream) -> None:
        """Takes note that a response is sent to its end."""
        self._budget.earn()
        self._requests.forget(stream)  # what still comes of the request is ignored
        self._end_if_drained()

    def _spend(self) -> None:
        self._budget.spend(self._loop.time())

    def _end_if_drained(self) -> None:
        if self._requests.last_allowed < frames.MAX_STREAM and not self._requests.by_number:
            self._close_transport()

    def _fail(self, code: ErrorCode, message: str) -> None:
        if not self._transport.is_closing():
            self.sender.write(frames.go_away(self._requests.last, code, message))
            self._close_transport()

    def _close_transport(self) -> None:
        self.sender.flush()
        self._transport.close()

    def _be_patient(self) -> None:
        self._patience = self._loop.call_later(
            self._limits.patience_s, self._lose_patience, self._received, self._unfinished()
        )

    def _unfinished(self) -> set[object]:
        """Returns what the peer has begun to send and should get on with."""
        unfinished: set[object] = {
            stream
            for stream in self._requests.by_number.values()
            if not stream.is_complete and not stream.may_idle
        }
        if self._reader.is_midway or not self._has_settings:
            unfinished.add(self._reader.position)
        return unfinished

    def _lose_patience(self, received: int, unfinished: set[object]) -> None:
        """Ends a connection that doesn't begin, or whose requests don't get on."""
        self._patience = None
        is_slow = self._received - received < self._limits.progress_bytes
        if is_slow and unfinished & self._unfinished():
            self._fail(ErrorCode.ENHANCE_YOUR_CALM, "too slow")
        else:
            self._watch()

    def _watch(self) -> None:
        if self._patience is None and (self._requests.by_number or self._reader.is_midway):
            self._be_patient()


_HANDLERS: dict[int, Callable[[Connection, int, int, bytes], None]] = {
    frames.DATA: Connection._padded_data,
    frames.PRIORITY: Connection._priority,
    frames.RST_STREAM: Connection._rst_stream,
    frames.SETTINGS: Connection._settings,
    frames.PUSH_PROMISE: Connection._push_promise,
    frames.PING: Connection._ping,
    frames.GOAWAY: Connection._go_away,
    frames.WINDOW_UPDATE: Connection._window_update,
}


def _peer(transport: asyncio.Transport) -> str:
    """Returns the peer's address as gRPC writes it."""
    address: Any = transport.get_extra_info("peername")
    if isinstance(address, tuple) and len(address) >= 2:
        is_v6 = ":" in address[0]
        host = f"[{address[0]}]" if is_v6 else address[0]
        return f"{'ipv6' if is_v6 else 'ipv4'}:{host}:{address[1]}"
    return "unix:"
