"""Bytes to frames, whatever pieces they come in."""

from __future__ import annotations

from typing import Protocol

from server.protocol.http2 import frames
from server.protocol.http2.frames import protocol_error, size_error


class FrameHandler(Protocol):
    """What frames are handed to. Each method may raise `Http2Error`."""

    def frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Takes a whole frame."""

    def data_begins(self, number: int, length: int, ends: bool) -> None:
        """Takes note of a DATA frame, whose payload of `length` bytes comes in parts."""

    def data(self, chunk: bytes) -> None:
        """Takes a part of a DATA frame's payload."""

    def data_ends(self) -> None:
        """Takes note that the DATA frame is complete."""


class FrameReader:
    """Cuts what comes in into frames. Payloads of DATA are passed on as they come.

    Attributes:
        position: Frames that have begun so far.
    """

    def __init__(self, handler: FrameHandler, max_frame_bytes: int) -> None:
        self._handler = handler
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._needed = 0  # bytes in the buffer before it is worth another look
        self._data_left = 0
        self._has_begun = False
        self._in_headers = False
        self.position = 0

    @property
    def is_midway(self) -> bool:
        """Whether a part of something but DATA is here, and the rest isn't."""
        return bool(self._buffer or self._in_headers)

    @property
    def buffered(self) -> int:
        """Bytes of a frame that isn't complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes what came in.

        Raises:
            Http2Error: it isn't HTTP/2, or a frame is too long.
        """
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        position = 0 if self._has_begun else self._begin(data)
        handler = self._handler
        size = len(data)
        while position < size:
            if self._data_left:
                end = min(position + self._data_left, size)
                self._data_left -= end - position
                handler.data(data[position:end] if position or end < size else data)
                if not self._data_left:
                    handler.data_ends()
                position = end
                continue
            start = position + frames.HEADER_BYTES
            if size < start:
                self._needed = frames.HEADER_BYTES
                break
            high, low, kind, flags, number = frames.HEADER.unpack_from(data, position)
            length = high << 8 | low
            number &= frames.MAX_STREAM
            if length > self._max_frame_bytes:
                raise size_error(f"a frame of {length} bytes")
            # A header block's frames come one after the other, each looked at once it is whole.
            if self._in_headers and kind != frames.CONTINUATION:
                raise protocol_error("headers are interrupted")
            if kind == frames.DATA and not flags & frames.PADDED:
                self.position += 1
                handler.data_begins(number, length, bool(flags & frames.END_STREAM))
                self._data_left = length
                if not length:
                    handler.data_ends()
                position = start
                continue
            if size - start < length:
                self._needed = frames.HEADER_BYTES + length
                break
            if kind != frames.CONTINUATION:  # a header block is one thing, however it comes
                self.position += 1
            if kind in (frames.HEADERS, frames.CONTINUATION):
                self._in_headers = not flags & frames.END_HEADERS
            position = start + length
            handler.frame(kind, flags, number, data[start:position])
        if position < size:
            self._buffer += data[position:] if position else data

    def _begin(self, data: bytes) -> int:
        size = len(frames.PREFACE)
        if not frames.PREFACE.startswith(data[:size]):
            raise protocol_error("no HTTP/2 preface")
        if len(data) < size:
            self._buffer += data
            self._needed = size
            return len(data)
        self._has_begun = True
        return size
