"""One connection: settings, pings, limits, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import cast

from server.errors import ServingError
from server.protocol import sockets
from server.protocol.http2 import control, frames
from server.protocol.http2.flood import FloodGate
from server.protocol.http2.frames import ErrorCode, Http2Error, protocol_error
from server.protocol.http2.options import Http2Options
from server.protocol.http2.patience import Patience
from server.protocol.http2.reading import FrameReader
from server.protocol.http2.requests import Requests
from server.protocol.http2.sending import Sender
from server.protocol.http2.stream import Connected, Stream
from server.protocol.limits import LINGER_BYTES, LINGER_S, Limits, Share, Usage

logger = logging.getLogger(__name__)

_MAX_UNREAD = 4 * 2**20  # bytes of answers that a peer may leave before we stop reading, too


class Http2Connection(asyncio.Protocol):
    """Serves the requests of one peer.

    Attributes:
        options: What is set of HTTP/2 itself.
        limits: The bounds that all protocols share.
        sender: Takes responses.
        peer: The peer's address as gRPC writes it.
        is_local: The peer is on this machine.
        usage: What of them is used, by all connections.
        share: Its part of the budget: bodies and incomplete frames that are kept.
        received: Bytes so far.
        has_settings: The peer has sent its settings.
        has_acknowledged: And has acknowledged ours.
        is_paused: Nothing is read, since the peer doesn't read.
        is_draining: The peer was told to send no more requests.
    """

    sender: Sender
    peer: str
    is_local: bool

    def __init__(
        self,
        connected: Connected,
        options: Http2Options,
        limits: Limits,
        usage: Usage,
        opened: Callable[[Http2Connection], None],
        closed: Callable[[Http2Connection], None],
    ) -> None:
        """Takes what serves the requests, and who is told of the connection's begin and end."""
        self._connected = connected
        self.usage = usage
        self._opened = opened
        self._closed = closed
        self.share = Share(usage)  # bytes of bodies and of incomplete frames
        self._partial = 0  # of incomplete frames alone
        self._patience: Patience | None = None
        self.options = options
        self.limits = limits
        self.received = 0
        self.has_settings = False
        self.has_acknowledged = False
        self.is_paused = False
        self.is_draining = False
        self._lingers = LINGER_BYTES

    @property
    def streams(self) -> Collection[Stream]:
        """The requests under way."""
        return self._requests.by_number.values()

    @property
    def waits_since(self) -> float | None:
        """The loop's time since when it has had no request; None: it has one."""
        return None if self._requests.by_number else self._requests.now

    def shed(self) -> None:
        """Ends at once and without an answer: others need its place."""
        self._transport.abort()

    @property
    def unread(self) -> int:
        """Bytes that the transport can't get rid of."""
        return self._transport.get_write_buffer_size()

    @property
    def is_ending(self) -> bool:
        """Whether nothing is read any more, and only what is left is sent."""
        return self.sender.is_closed or self._transport.is_closing()

    @property
    def midway_position(self) -> int:
        """Where a frame or a header block has begun that isn't complete; -1: nowhere."""
        return self._reader.position if self._reader.is_midway else -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends our settings."""
        options, limits = self.options, self.limits
        self._transport = transport = cast(asyncio.Transport, transport)
        self._loop = loop = asyncio.get_running_loop()
        now = loop.time()
        self._flood = FloodGate(options, now)
        self._reader = FrameReader(self, options.frame_bytes)
        address = transport.get_extra_info("peername")
        self.peer = sockets.grpc_name(address)
        self.is_local = sockets.is_local(address)
        self.sender = Sender(transport, loop, self._answered, self._flood)
        self._requests = Requests(
            self._connected(self), self.sender, options, limits.header_bytes, self._flood, now
        )
        self.data_begins = self._requests.data_begins
        self.data = self._requests.data
        self.data_ends = self._requests.data_ends
        self._opened(self)
        if not self.usage.enter(self):
            logger.warning("%s: more than %d connections", self.peer, limits.connections)
            transport.abort()
            return
        transport.set_write_buffer_limits(_MAX_UNREAD)
        values = {
            frames.MAX_CONCURRENT_STREAMS: options.streams,
            frames.INITIAL_WINDOW_SIZE: options.stream_window,
            frames.MAX_FRAME_SIZE: options.frame_bytes,
            frames.MAX_HEADER_LIST_SIZE: limits.header_bytes,
        }
        wider = options.connection_window - frames.DEFAULT_WINDOW
        self.sender.write(frames.settings(values) + frames.window_update(0, wider))
        self._patience = Patience(self, now)

    def data_received(self, data: bytes) -> None:
        """Takes what came in."""
        self.received += len(data)
        if self.is_ending:
            self._discard(len(data))
            return
        self._requests.now = self._loop.time()
        try:
            self._reader.feed(data)
            if self._partial or self._reader.is_midway:
                self._hold_partial(self._reader.buffered + self._requests.header_bytes)
        except Http2Error as error:
            logger.info("%s: %s (%s)", self.peer, error, error.code.name)
            self.fail(error.code, str(error))

    def connection_lost(self, error: Exception | None) -> None:
        """Tells all requests under way that nobody waits any more."""
        self._requests.reset_all()
        self.share.close()
        self.usage.leave(self)
        self._closed(self)

    def pause_writing(self) -> None:
        """Takes nothing more from a peer that doesn't read its answers."""
        self.is_paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Goes on."""
        self.is_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def look(self, now: float) -> None:
        """Ends what takes too long; the server calls it about once a second."""
        if self._patience is not None:
            self._patience.look(now)

    def drain(self) -> None:
        """Asks the peer to send no more requests; the connection ends with the last answer.

        In two steps, as RFC 9113 (6.8) has it: requests that are on their way now are served.
        """
        if not self.is_draining and not self.is_ending:
            self.is_draining = True
            self.sender.write(
                frames.go_away(frames.MAX_STREAM, ErrorCode.NO_ERROR)
                + frames.frame(frames.PING, 0, 0, control.DRAIN_PING)
            )

    def stop_requests(self) -> None:
        """Takes no more requests: the second step."""
        if self._requests.last_allowed < frames.MAX_STREAM:
            return
        self._requests.last_allowed = self._requests.last
        self.sender.write(frames.go_away(self._requests.last, ErrorCode.NO_ERROR))
        if not self.streams:
            self._close_transport()
        for stream in list(self.streams):
            stream.receiver.drain()

    def ping(self) -> None:
        """Asks whether the peer is there."""
        self.sender.write(frames.frame(frames.PING, 0, 0, control.ALIVE_PING))

    def forget_heads(self) -> None:
        """Drops what is remembered of headers."""
        self._requests.forget_heads()

    def close(self) -> None:
        """Ends the connection as soon as what is written has left."""
        self.fail(ErrorCode.NO_ERROR, "")

    def abort(self, why: str) -> None:
        """Ends the connection at once, and drops what is written."""
        logger.info("%s: %s", self.peer, why)
        self._transport.abort()

    def fail(self, code: ErrorCode, message: str) -> None:
        """Ends the connection with a GOAWAY."""
        if not self.is_ending:
            self.sender.write(frames.go_away(self._requests.last, code, message))
            self._close_transport()

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Ends one stream without an answer."""
        self._requests.cancel(stream, code)
        self._end_if_drained()

    def reset_by_peer(self, number: int, payload: bytes) -> None:
        """Takes a RST_STREAM."""
        self._requests.reset(number, payload)
        self._end_if_drained()

    def cancel(self, stream: Stream, code: ErrorCode) -> None:
        """Ends one stream without an answer, and its call."""
        self.reset(stream, code)
        stream.receiver.reset()

    def frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Takes a frame, but the DATA that `requests` gets.

        Raises:
            Http2Error: it isn't allowed here, or once too often.
        """
        if not self.has_settings and (kind != frames.SETTINGS or flags & frames.ACK):
            raise protocol_error("the first frame must be SETTINGS")
        if kind == frames.HEADERS:
            self._requests.headers(number, flags, payload)
        elif kind == frames.CONTINUATION:
            self._requests.continuation(number, flags, payload)
        elif kind == frames.WINDOW_UPDATE:
            self._requests.window_update(number, payload)
        else:
            self._flood.spend(self._requests.now)
            if (handler := control.HANDLERS.get(kind)) is not None:
                handler(self, flags, number, payload)

    def _answered(self, stream: Stream) -> None:
        """Takes note that a response is sent to its end."""
        self._flood.answered()
        self._requests.answered(stream)
        self._end_if_drained()

    def _hold_partial(self, size: int) -> None:
        """Takes note of how much of incomplete frames and header blocks is kept."""
        try:
            if size > self._partial:
                self.share.take(size - self._partial)
            else:
                self.share.give(self._partial - size)
        except ServingError as error:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, error.message) from None
        self._partial = size

    def _end_if_drained(self) -> None:
        """Lets the peer end the connection after its last answer, for a while.

        Envoy drops what it still holds of an answer when the connection under it ends, even well.
        """
        if self._requests.last_allowed < frames.MAX_STREAM and not self._requests.by_number:
            self._loop.call_later(LINGER_S, self._close_transport)

    def _close_transport(self) -> None:
        """Ends our half; the peer ends its own once it has read all."""
        if self.is_ending:
            return
        self.sender.close()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _discard(self, size: int) -> None:
        """Reads on while the peer takes note of the end."""
        self._lingers -= size
        if self._lingers < 0:
            self._transport.abort()
