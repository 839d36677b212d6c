"""Frames that are the connection's own matter, or that few peers send."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from server.protocol.http2 import frames
from server.protocol.http2.frames import protocol_error, size_error

if TYPE_CHECKING:
    from server.protocol.http2.connection import Http2Connection

DRAIN_PING = b"draining"
ALIVE_PING = b"alive?  "


def padded_data(connection: Http2Connection, flags: int, number: int, payload: bytes) -> None:
    """Takes DATA with padding, which counts against the windows."""
    chunk = frames.unpadded(payload)
    ends = bool(flags & frames.END_STREAM)
    connection.data_begins(number, len(payload), ends, len(payload) - len(chunk))
    if chunk:
        connection.data(chunk)
    connection.data_ends()


def settings(connection: Http2Connection, flags: int, number: int, payload: bytes) -> None:
    """Takes the peer's settings, or its acknowledgement of ours."""
    if number:
        raise protocol_error("SETTINGS on a stream")
    if flags & frames.ACK:
        if payload:
            raise size_error("an acknowledgement of SETTINGS with a payload")
        connection.has_acknowledged = True
        return
    connection.has_settings = True
    values = frames.read_settings(payload)
    # Ahead of what wider windows let go: until it is there, the peer keeps to the old ones.
    connection.sender.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
    connection.sender.configure(values, list(connection.streams))


def ping(connection: Http2Connection, flags: int, number: int, payload: bytes) -> None:
    """Answers a ping; the answer to ours tells that the peer knows of the end."""
    if number:
        raise protocol_error("PING on a stream")
    if len(payload) != 8:
        raise size_error("PING of a wrong length")
    if not flags & frames.ACK:
        connection.sender.write(frames.frame(frames.PING, frames.ACK, 0, payload))
    elif connection.is_draining and payload == DRAIN_PING:
        connection.stop_requests()


def rst_stream(connection: Http2Connection, flags: int, number: int, payload: bytes) -> None:
    """Ends a request that the peer doesn't want any more."""
    connection.reset_by_peer(number, payload)


def priority(connection: Http2Connection, flags: int, number: int, payload: bytes) -> None:
    """Checks what is of no use since RFC 9113."""
    if not number:
        raise protocol_error("PRIORITY on no stream")
    if len(payload) != 5:
        raise size_error("PRIORITY of a wrong length")
    if int.from_bytes(payload[:4], "big") & frames.MAX_STREAM == number:
        raise protocol_error("a stream that depends on itself")


def go_away(connection: Http2Connection, flags: int, number: int, payload: bytes) -> None:
    """Checks it; a client's requests go on."""
    if number:
        raise protocol_error("GOAWAY on a stream")
    if len(payload) < 8:
        raise size_error("GOAWAY of a wrong length")


def push_promise(connection: Http2Connection, flags: int, number: int, payload: bytes) -> None:
    """Refuses what servers alone may send."""
    raise protocol_error("PUSH_PROMISE from a client")


HANDLERS: dict[int, Callable[[Http2Connection, int, int, bytes], None]] = {
    frames.DATA: padded_data,
    frames.PRIORITY: priority,
    frames.RST_STREAM: rst_stream,
    frames.SETTINGS: settings,
    frames.PUSH_PROMISE: push_promise,
    frames.PING: ping,
    frames.GOAWAY: go_away,
}
