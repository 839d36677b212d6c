"""Unary gRPC calls over one HTTP/2 connection (RFC 9113), with as little Python as can be.

A gRPC library costs a Python caller several times what this does for a request; on a machine
that also runs the server, that would be measured as the server's.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

from client.endpoint import Endpoint
from client.load import hpack
from client.load.caller import BROKEN, EXPIRED, Answer, tls

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
_TABLE_SIZE, _NO_PUSH, _INITIAL_WINDOW, _FRAME_SIZE = 1, 2, 4, 5
_DEFAULT_WINDOW = 65_535
_LARGEST_WINDOW = 2**31 - 1
_HEADER = struct.Struct(">HBBBL")  # length in 16 + 8 bits, type, flags, stream
_SETTING = struct.Struct(">HL")
_CANCEL = struct.pack(">L", 8)


def message(body: bytes) -> bytes:
    """Returns a gRPC message: not compressed, its length, its bytes."""
    return struct.pack(">BL", 0, len(body)) + body


def headers(endpoint: Endpoint, path: str) -> bytes:
    """Returns the header block of a call."""
    fields = [
        (":method", "POST"),
        (":scheme", "https" if endpoint.secure else "http"),
        (":path", path),
        (":authority", endpoint.address),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "client.load"),
    ]
    if endpoint.token:
        fields.append(("authorization", f"Bearer {endpoint.token}"))
    return hpack.encode(fields)


@dataclass(slots=True)
class _Stream:
    waiting: asyncio.Future[Answer]
    sent: float
    window: int
    unsent: memoryview
    chunks: list[bytes] = field(default_factory=list)


class Http2(asyncio.Protocol):
    """A connection that carries any number of calls at once and opens again when it was closed."""

    def __init__(self, endpoint: Endpoint, path: str, *, keep_bodies: bool):
        self._endpoint = endpoint
        self._tls = tls(endpoint, "h2")
        self._header_block = headers(endpoint, path)
        self._keep_bodies = keep_bodies
        self._opening = asyncio.Lock()
        self._transport: asyncio.Transport | None = None
        self._reset()

    def _reset(self) -> None:
        self._streams: dict[int, _Stream] = {}
        self._blocked: deque[int] = deque()
        self._next_stream = 1
        self._window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._frame_size = 16_384
        self._received = 0
        self._buffer = b""
        self._block = b""
        self._ends = False
        self._going_away = False

    async def call(self, request: bytes) -> Answer:
        """Sends a gRPC message."""
        sent = perf_counter()
        if self._transport is None or self._going_away:
            try:
                await self._open()
            except OSError:
                await asyncio.sleep(0.05)  # no busy loop while nobody listens
                return Answer(BROKEN)
        assert self._transport is not None
        number = self._next_stream
        self._next_stream += 2
        waiting = asyncio.get_running_loop().create_future()
        stream = _Stream(waiting, sent, self._stream_window, memoryview(request))
        self._streams[number] = stream
        frames = [_frame(_HEADERS, _END_HEADERS, number, self._header_block)]
        self._add_data(frames, number, stream)
        self._transport.write(b"".join(frames))
        return await waiting

    def expire(self, before: float) -> None:
        """Cancels the calls in flight that were sent before a moment."""
        for number, stream in list(self._streams.items()):
            if stream.sent < before:
                self._finish(number, Answer(EXPIRED))
                if self._transport is not None:
                    self._transport.write(_frame(_RST_STREAM, 0, number, _CANCEL))

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.abort()

    async def _open(self) -> None:
        async with self._opening:
            if self._transport is not None and not self._going_away:
                return
            self.close()
            self._fail_all()
            await asyncio.get_running_loop().create_connection(
                lambda: self, self._endpoint.host, self._endpoint.port, ssl=self._tls
            )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._reset()
        self._transport = cast(asyncio.Transport, transport)  # TCP's is one
        settings = ((_TABLE_SIZE, 0), (_NO_PUSH, 0), (_INITIAL_WINDOW, _LARGEST_WINDOW))
        payload = b"".join(_SETTING.pack(*setting) for setting in settings)
        more = struct.pack(">L", _LARGEST_WINDOW - _DEFAULT_WINDOW)
        self._write(
            _PREFACE + _frame(_SETTINGS, 0, 0, payload) + _frame(_WINDOW_UPDATE, 0, 0, more)
        )

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        self._fail_all()

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
            self._take(kind, flags, number & _LARGEST_WINDOW, data[at - length : at])
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
            self._finish(number, Answer(BROKEN))
        elif kind == _GOAWAY:
            self._going_away = True
            last = int.from_bytes(payload[:4], "big")
            for refused in [n for n in self._streams if n > last]:
                self._finish(refused, Answer(BROKEN))

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
            self._finish(number, Answer("UNKNOWN"))

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
            self._finish(number, Answer(code, b"".join(stream.chunks)[5:]))

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
        self._write(_frame(_SETTINGS, _ACK, 0, b""))
        self._send_blocked()

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

    def _finish(self, number: int, answer: Answer) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None and not stream.waiting.done():
            stream.waiting.set_result(answer)

    def _fail_all(self) -> None:
        for number in list(self._streams):
            self._finish(number, Answer(BROKEN))


def _frame(kind: int, flags: int, number: int, payload: bytes | memoryview) -> bytes:
    length = len(payload)
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, number) + payload
