"""Frames on the wire. Source of all numbers: RFC 9113, sections 4, 6, 7 and 11."""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME_BYTES = 16_384
MAX_WINDOW = 2**31 - 1
MAX_STREAM = 2**31 - 1

# A frame's header: length (two fields, 24 bits), type, flags, stream.
HEADER = struct.Struct(">HBBBI")

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6


class ErrorCode(enum.IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11


class Http2Error(Exception):
    """The peer broke the protocol or a limit: the connection ends."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamError(Exception):
    """The peer broke the protocol on one stream, which ends; the connection goes on."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def protocol_error(message: str) -> Http2Error:
    """Returns the error for what the protocol doesn't allow."""
    return Http2Error(ErrorCode.PROTOCOL_ERROR, message)


def size_error(message: str) -> Http2Error:
    """Returns the error for a frame of a wrong length."""
    return Http2Error(ErrorCode.FRAME_SIZE_ERROR, message)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Returns a frame as it goes on the wire."""
    size = len(payload)
    return HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def headers(stream: int, block: bytes, frame_bytes: int, *, ends: bool) -> bytes:
    """Returns a header block as HEADERS and as many CONTINUATION frames as it takes.

    Args:
        stream: Its number.
        block: The encoded headers.
        frame_bytes: The largest payload that the peer takes.
        ends: Nothing follows on the stream.
    """
    flags = END_STREAM if ends else 0
    if len(block) <= frame_bytes:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    parts = [block[at : at + frame_bytes] for at in range(0, len(block), frame_bytes)]
    found = [frame(HEADERS, flags, stream, parts[0])]
    found += [frame(CONTINUATION, 0, stream, part) for part in parts[1:-1]]
    found.append(frame(CONTINUATION, END_HEADERS, stream, parts[-1]))
    return b"".join(found)


def settings(values: Mapping[int, int]) -> bytes:
    """Returns a SETTINGS frame."""
    payload = b"".join(struct.pack(">HI", key, value) for key, value in values.items())
    return frame(SETTINGS, 0, 0, payload)


def read_settings(payload: bytes) -> dict[int, int]:
    """Reads the values of a SETTINGS frame.

    Raises:
        Http2Error: the length or a value is out of range.
    """
    if len(payload) % 6:
        raise size_error("SETTINGS of a wrong length")
    values = dict(struct.iter_unpack(">HI", payload))
    if values.get(ENABLE_PUSH, 0) > 1:
        raise protocol_error("ENABLE_PUSH out of range")
    if values.get(INITIAL_WINDOW_SIZE, 0) > MAX_WINDOW:
        raise Http2Error(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE out of range")
    if not DEFAULT_FRAME_BYTES <= values.get(MAX_FRAME_SIZE, DEFAULT_FRAME_BYTES) < 2**24:
        raise protocol_error("MAX_FRAME_SIZE out of range")
    return values


def window_update(stream: int, increment: int) -> bytes:
    """Returns a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def reset(stream: int, code: ErrorCode) -> bytes:
    """Returns a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def go_away(last_stream: int, code: ErrorCode, message: str = "") -> bytes:
    """Returns a GOAWAY frame."""
    payload = struct.pack(">II", last_stream, code) + message.encode()[:256]
    return frame(GOAWAY, 0, 0, payload)


def unpadded(payload: bytes) -> bytes:
    """Returns a padded frame's payload.

    Raises:
        Http2Error: the padding is longer than the frame.
    """
    if not payload or payload[0] >= len(payload):
        raise protocol_error("more padding than payload")
    return payload[1 : len(payload) - payload[0]]
