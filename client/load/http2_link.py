"""One HTTP/2 connection (RFC 9113) that carries unary gRPC calls, with as little Python as can be.

It keeps to the server's limits: of streams at once, of frames, and of windows.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import cast

from client.load import hpack
from client.load.caller import BROKEN, BUSY, EXPIRED, REFUSED, Answer

# Source: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
STATUS_NAMES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9,
)  # fmt: skip
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_TABLE_SIZE, _NO_PUSH, _MOST_STREAMS, _INITIAL_WINDOW, _FRAME_SIZE = 1, 2, 3, 4, 5
_DEFAULT_WINDOW = 65_535
_LARGEST_WINDOW = _LAST_STREAM = 2**31 - 1
_HEADER = struct.Struct(">HBBBL")  # length in 16 + 8 bits, type, flags, stream
_SETTING = struct.Struct(">HL")
_CANCEL = struct.pack(">L", 8)
_REFUSED_STREAM = 7


@dataclass(slots=True)
class _Stream:
    waiting: asyncio.Future[Answer]
    sent: float
    unsent: memoryview
    window: int = 0
    chunks: list[bytes] = field(default_factory=list)


class Link(asyncio.Protocol):
    """A connection from its preface to its end; a call it doesn't take is REFUSED or BUSY.

    Attributes:
        ready: Done when the server's settings are known, or with False when the connection ended.
        is_open: Whether the connection stands.
        was_sent_away: Whether the server has asked for another one.
        queued: Calls that waited until the server allowed another stream.
    """

    def __init__(self, header_block: bytes, *, keep_bodies: bool):
        self._header_block = header_block
        self._keep_bodies = keep_bodies
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.is_open = False
        self.was_sent_away = False
        self.queued = 0
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, _Stream] = {}
        self._queue: deque[_Stream] = deque()
        self._blocked: deque[int] = deque()
        self._next_stream = 1
        self._most_streams = _LAST_STREAM
        self._window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._frame_size = 16_384
        self._received = 0
        self._buffer = b""
        self._block = b""
        self._ends = False

    @property
    def takes_calls(self) -> bool:
        """Whether it carries further calls."""
        return self.is_open and not self.was_sent_away and self._next_stream < _LAST_STREAM

    def call(self, request: bytes, sent: float) -> asyncio.Future[Answer]:
        """Sends a gRPC message, or queues it while the server has as many streams as it allows."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        stream = _Stream(waiting, sent, memoryview(request))
        if len(self._streams) < self._most_streams and not self._queue:
            self._start(stream)
        else:
            self._queue.append(stream)
            self.queued += 1
        return waiting

    def expire(self, before: float) -> None:
        """Cancels the calls that were sent before a moment; those that wait for a stream, too."""
        while self._queue and self._queue[0].sent < before:
            _set(self._queue.popleft(), Answer(EXPIRED))
        for number, stream in list(self._streams.items()):
            if stream.sent < before:
                self._write(_frame(_RST_STREAM, 0, number, _CANCEL))  # ahead of the next call
                self._finish(number, Answer(EXPIRED))

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # TCP's is one
        self.is_open = True
        settings = ((_TABLE_SIZE, 0), (_NO_PUSH, 0), (_INITIAL_WINDOW, _LARGEST_WINDOW))
        payload = b"".join(_SETTING.pack(*setting) for setting in settings)
        more = struct.pack(">L", _LARGEST_WINDOW - _DEFAULT_WINDOW)
        self._write(
            _PREFACE + _frame(_SETTINGS, 0, 0, payload) + _frame(_WINDOW_UPDATE, 0, 0, more)
        )

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        self.is_open = False
        if not self.ready.done():
            self.ready.set_result(False)
        self._refuse_queue()
        for number in list(self._streams):
            self._finish(number, Answer(BROKEN))

    def data_received(self, data: bytes) -> None:
        """Called by asyncio: takes the whole frames, keeps the rest."""
        data = self._buffer + data if self._buffer else data
        at, end = 0, len(data)
        while end - at >= 9:
            high, low, kind, flags, number = _HEADER.unpack_from(data, at)
            length = high << 8 | low
            if end - at - 9 < length:
                break
            at += 9 + length
            self._take(kind, flags, number & _LAST_STREAM, data[at - length : at])
        self._buffer = data[at:]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _DATA:
            self._take_data(flags, number, payload)
        elif kind in (_HEADERS, _CONTINUATION):
            self._take_headers(kind, flags, number, payload)
        elif kind == _WINDOW_UPDATE:
            self._take_window(number, int.from_bytes(payload, "big"))
        elif kind == _SETTINGS and not flags & _ACK:
            self._take_settings(payload)
        elif kind == _PING and not flags & _ACK:
            self._write(_frame(_PING, _ACK, 0, payload))
        elif kind == _RST_STREAM:
            is_refused = int.from_bytes(payload, "big") == _REFUSED_STREAM
            self._finish(number, BUSY if is_refused else Answer(BROKEN))
        elif kind == _GOAWAY:
            self._take_goaway(int.from_bytes(payload[:4], "big") & _LAST_STREAM)

    def _take_goaway(self, last: int) -> None:
        """Lets the streams up to the last one that the server takes end; refuses the others."""
        self.was_sent_away = True
        self._refuse_queue()
        for number in [n for n in self._streams if n > last]:
            self._finish(number, REFUSED)
        self._close_if_done()

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received > _LARGEST_WINDOW // 2:
            self._write(_frame(_WINDOW_UPDATE, 0, 0, self._received.to_bytes(4, "big")))
            self._received = 0
        if self._keep_bodies and number in self._streams:
            if flags & _PADDED:
                payload = payload[1 : len(payload) - payload[0]]
            self._streams[number].chunks.append(payload)
        if flags & _END_STREAM:  # no trailers: no gRPC status
            self._answer(number, Answer("UNKNOWN"))

    def _take_headers(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _HEADERS:
            if flags & _PADDED:
                payload = payload[1 : len(payload) - payload[0]]
            if flags & _PRIORITY:
                payload = payload[5:]
            self._block = payload
            self._ends = bool(flags & _END_STREAM)
        else:
            self._block += payload
        if not flags & _END_HEADERS or not self._ends:
            return
        try:
            status = hpack.grpc_status(self._block)
        except ValueError:
            status = None
        stream = self._streams.get(number)
        if stream is not None:
            code = "UNKNOWN" if status is None else STATUS_NAMES[status]
            self._answer(number, Answer(code, b"".join(stream.chunks)[5:]))

    def _take_window(self, number: int, more: int) -> None:
        if number == 0:
            self._window += more
        elif number in self._streams:
            self._streams[number].window += more
        self._send_blocked()

    def _take_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), _SETTING.size):
            name, value = _SETTING.unpack_from(payload, at)
            if name == _INITIAL_WINDOW:
                for stream in self._streams.values():
                    stream.window += value - self._stream_window
                self._stream_window = value
            elif name == _FRAME_SIZE:
                self._frame_size = value
            elif name == _MOST_STREAMS:
                self._most_streams = value
        self._write(_frame(_SETTINGS, _ACK, 0, b""))
        self._send_blocked()
        self._start_queued()
        if not self.ready.done():
            self.ready.set_result(True)

    def _start(self, stream: _Stream) -> None:
        number = self._next_stream
        self._next_stream += 2
        stream.window = self._stream_window
        self._streams[number] = stream
        frames = [_frame(_HEADERS, _END_HEADERS, number, self._header_block)]
        self._add_data(frames, number, stream)
        self._write(b"".join(frames))

    def _start_queued(self) -> None:
        while self._queue and len(self._streams) < self._most_streams:
            self._start(self._queue.popleft())

    def _refuse_queue(self) -> None:
        """Sends those that wait for a stream elsewhere: this server has never seen them."""
        while self._queue:
            _set(self._queue.popleft(), REFUSED)

    def _send_blocked(self) -> None:
        frames: list[bytes] = []
        for _ in range(len(self._blocked)):
            number = self._blocked.popleft()
            if number in self._streams:
                self._add_data(frames, number, self._streams[number])
        self._write(b"".join(frames))

    def _add_data(self, frames: list[bytes], number: int, stream: _Stream) -> None:
        """Adds what the peer's windows allow; the rest waits for them to open."""
        while stream.unsent:
            size = min(len(stream.unsent), self._frame_size, stream.window, self._window)
            if size <= 0:
                self._blocked.append(number)
                return
            chunk, stream.unsent = stream.unsent[:size], stream.unsent[size:]
            stream.window -= size
            self._window -= size
            frames.append(_frame(_DATA, 0 if stream.unsent else _END_STREAM, number, chunk))

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def _answer(self, number: int, answer: Answer) -> None:
        stream = self._streams.get(number)
        if stream is not None and stream.unsent:  # the server need not wait for the rest
            self._write(_frame(_RST_STREAM, 0, number, _CANCEL))
        self._finish(number, answer)

    def _finish(self, number: int, answer: Answer) -> None:
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        _set(stream, answer)
        if self._queue:
            self._start_queued()
        elif self.was_sent_away:
            self._close_if_done()

    def _close_if_done(self) -> None:
        if not self._streams and self._transport is not None:
            self._transport.close()


def _set(stream: _Stream, answer: Answer) -> None:
    if not stream.waiting.done():
        stream.waiting.set_result(answer)


def _frame(kind: int, flags: int, number: int, payload: bytes | memoryview) -> bytes:
    length = len(payload)
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, number) + payload
