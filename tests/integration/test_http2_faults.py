"""Our HTTP/2 server against peers that break its rules: a request ends for it, or all."""

import struct

import pytest

from server.protocol.http2 import frames
from server.protocol.http2.frames import PREFACE, ErrorCode, frame
from tests.support.http2 import (
    BLOCK,
    GOOD,
    HELD,
    HOLD,
    OPEN,
    START,
    data,
    headers,
    play,
    pseudo,
    request,
    with_body,
)

FAULTS = {
    "no preface": (b"GET / HTTP/1.1\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
    "no settings": (PREFACE + request(1), ErrorCode.PROTOCOL_ERROR),
    "acknowledged before sent": (
        PREFACE + frame(frames.SETTINGS, frames.ACK, 0), ErrorCode.PROTOCOL_ERROR,
    ),
    "settings on a stream": (START + frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "settings of 5 bytes": (START + frame(frames.SETTINGS, 0, 0, b"12345"),
                            ErrorCode.FRAME_SIZE_ERROR),
    "acknowledgement with payload": (
        START + frame(frames.SETTINGS, frames.ACK, 0, b"123456"), ErrorCode.FRAME_SIZE_ERROR,
    ),
    "push neither on nor off": (START + frames.settings({2: 2}), ErrorCode.PROTOCOL_ERROR),
    "window setting out of range": (
        START + frames.settings({4: 2**31}), ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "frame size setting out of range": (START + frames.settings({5: 1}), ErrorCode.PROTOCOL_ERROR),
    "a window over the limit by settings": (
        START + request(1)[: 9 + len(BLOCK)]
        + frames.window_update(1, 2**31 - 1 - 65535) + frames.settings({4: 65536}),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "even stream": (START + request(2), ErrorCode.PROTOCOL_ERROR),
    "stream 0": (START + request(0), ErrorCode.PROTOCOL_ERROR),
    "data on an idle stream": (START + data(1, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data after both ends": (
        START + request(1) + data(1, b"x"), ErrorCode.STREAM_CLOSED,
    ),
    "headers after both ends": (
        START + request(1) + frame(frames.HEADERS, OPEN | 1, 1, BLOCK), ErrorCode.STREAM_CLOSED,
    ),
    "a stream below one that was used": (
        START + request(5) + request(3), ErrorCode.PROTOCOL_ERROR,
    ),
    "priority on no stream": (
        START + frame(frames.PRIORITY, 0, 0, b"12345"), ErrorCode.PROTOCOL_ERROR,
    ),
    "a damaged header block": (
        START + frame(frames.HEADERS, OPEN | 1, 1, b"\xff\xff\xff\xff\xff"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "an index beyond the table": (
        START + frame(frames.HEADERS, OPEN | 1, 1, b"\xfe"), ErrorCode.COMPRESSION_ERROR,
    ),
    "headers interrupted": (
        START + frame(frames.HEADERS, 0, 1, BLOCK) + frame(frames.PING, 0, 0, b"12345678"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers interrupted by data": (
        START + frame(frames.HEADERS, 0, 1, BLOCK) + data(1, b""), ErrorCode.PROTOCOL_ERROR,
    ),
    "continuation of nothing": (
        START + frame(frames.CONTINUATION, OPEN, 1, BLOCK), ErrorCode.PROTOCOL_ERROR,
    ),
    "continuation of another stream": (
        START + frame(frames.HEADERS, 0, 1, BLOCK) + frame(frames.CONTINUATION, OPEN, 3),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "priority that is missing": (
        START + frame(frames.HEADERS, OPEN | frames.HAS_PRIORITY, 1, b"123"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "padding longer than the headers": (
        START + frame(frames.HEADERS, OPEN | frames.PADDED, 1, b"\x05abc"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "padding longer than the data": (
        START + frame(frames.HEADERS, OPEN, 1, BLOCK) + data(1, b"\x05abc", frames.PADDED),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a frame over the limit": (
        START + frame(frames.HEADERS, OPEN, 1, BLOCK) + data(1, bytes(2**20 + 1))[:50],
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a long frame of another kind": (
        START + frame(frames.PING, 0, 0, bytes(2**20 + 1))[:9], ErrorCode.FRAME_SIZE_ERROR,
    ),
    "ping on a stream": (START + frame(frames.PING, 0, 1, b"12345678"), ErrorCode.PROTOCOL_ERROR),
    "ping of 7 bytes": (START + frame(frames.PING, 0, 0, b"1234567"), ErrorCode.FRAME_SIZE_ERROR),
    "reset of an idle stream": (
        START + frames.reset(1, ErrorCode.CANCEL), ErrorCode.PROTOCOL_ERROR,
    ),
    "reset of 3 bytes": (START + frame(frames.RST_STREAM, 0, 1, b"123"),
                         ErrorCode.FRAME_SIZE_ERROR),
    "update of an idle stream": (START + frames.window_update(5, 1), ErrorCode.PROTOCOL_ERROR),
    "update by 0": (START + frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "update of 3 bytes": (
        START + frame(frames.WINDOW_UPDATE, 0, 0, b"123"), ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a window over the limit": (
        START + frames.window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "priority of 4 bytes": (
        START + frame(frames.PRIORITY, 0, 1, b"1234"), ErrorCode.FRAME_SIZE_ERROR,
    ),
    "goaway of 7 bytes": (
        START + frame(frames.GOAWAY, 0, 0, b"1234567"), ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a promise": (START + frame(frames.PUSH_PROMISE, OPEN, 1, b"1234"), ErrorCode.PROTOCOL_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_connection_with_its_code(fault):
    sent, code = FAULTS[fault]

    async def scene(peer):
        await peer.send(sent)
        _, found = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(found) == code
        assert await peer.receive() == b""

    play(scene)


# RFC 9113, 8.1.1: "a stream error of type PROTOCOL_ERROR".
MALFORMED = {
    "no method": headers(*pseudo(method=None)),
    "no scheme": headers(*pseudo(scheme=None)),
    "no path": headers(*pseudo(path=None)),
    "nothing": headers(),
    "an empty path": headers(*pseudo(path="")),
    "an empty method": headers(*pseudo(method="")),
    "two paths": headers(*pseudo(more=[(":path", "/y")])),
    "two methods": headers(*pseudo(more=[(":method", "GET")])),
    "an unknown pseudo-header": headers(*pseudo(more=[(":test", "1")])),
    "one of a response": headers(*pseudo(more=[(":status", "200")])),
    "a late pseudo-header": headers(("a", "b"), *pseudo()),
    "CONNECT with a path": headers(*pseudo(method="CONNECT", more=[(":authority", "me")])),
    "CONNECT to nothing": headers((":method", "CONNECT")),
    "user information": headers(*pseudo(more=[(":authority", "me@here")])),
    "another host": headers(*pseudo(more=[(":authority", "me"), ("host", "you")])),
    "a capital": headers(*pseudo(more=[("Name", "value")])),
    "a space in a name": headers(*pseudo(more=[("na me", "value")])),
    "a colon in a name": headers(*pseudo(more=[("na:me", "value")])),
    "an empty name": headers(*pseudo(more=[("", "value")])),
    "a line in a value": headers(*pseudo(more=[("name", "a\r\nb: c")])),
    "a zero in a value": headers(*pseudo(more=[("name", "a\0")])),
    "a zero in a path": headers(*pseudo(path="/x\0")),
    "a space before a value": headers(*pseudo(more=[("name", " a")])),
    "a tab after a value": headers(*pseudo(more=[("name", "a\t")])),
    "connection": headers(*pseudo(more=[("connection", "close")])),
    "keep-alive": headers(*pseudo(more=[("keep-alive", "3")])),
    "proxy-connection": headers(*pseudo(more=[("proxy-connection", "x")])),
    "transfer-encoding": headers(*pseudo(more=[("transfer-encoding", "chunked")])),
    "upgrade": headers(*pseudo(more=[("upgrade", "h2c")])),
    "te": headers(*pseudo(more=[("te", "trailers, deflate")])),
    "a length that isn't one": headers(*pseudo(more=[("content-length", "+1")])),
    "a negative length": headers(*pseudo(more=[("content-length", "-1")])),
    "two lengths": headers(*pseudo(more=[("content-length", "1"), ("content-length", "2")])),
    "a length without data": headers(*pseudo(more=[("content-length", "1")])),
    "less data": with_body(pseudo(more=[("content-length", "3")]), b"ab"),
    "more data": with_body(pseudo(more=[("content-length", "1")]), b"ab"),
    "less data before trailers": with_body(
        pseudo(more=[("content-length", "3")]), b"ab", [("a", "b")]
    ),
    "a path in trailers": with_body(pseudo(), b"ab", [(":path", "/y")]),
    "a capital in trailers": with_body(pseudo(), b"ab", [("A", "b")]),
    "trailers that don't end": GOOD + GOOD,
    "a stream that depends on itself": frame(
        frames.HEADERS, OPEN | frames.HAS_PRIORITY | 1, 1, b"\0\0\0\1\0" + BLOCK
    ),
    "an update by 0": HELD + frames.window_update(1, 0),
}
STREAM_FAULTS = {name: (sent, ErrorCode.PROTOCOL_ERROR) for name, sent in MALFORMED.items()} | {
    "a window over the limit": (
        HELD + frames.window_update(1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "more data than the window": (GOOD + data(1, bytes(65_536), 0), ErrorCode.FLOW_CONTROL_ERROR),
    "data after the end": (HELD + data(1, b"x"), ErrorCode.STREAM_CLOSED),
    "headers after the end": (HELD + GOOD, ErrorCode.STREAM_CLOSED),
    "data after a reset": (
        GOOD + frames.reset(1, ErrorCode.CANCEL) + data(1, b"x"), ErrorCode.STREAM_CLOSED,
    ),
    "headers after a reset": (
        GOOD + frames.reset(1, ErrorCode.CANCEL) + GOOD, ErrorCode.STREAM_CLOSED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_a_fault_of_one_request_ends_that_alone(fault):
    sent, code = STREAM_FAULTS[fault]

    async def scene(peer):
        await peer.send(START + sent + request(3, b"still here"))
        assert ErrorCode(int.from_bytes(await peer.until(frames.RST_STREAM, 1), "big")) == code
        assert await peer.until(frames.DATA, 3) == b"still here"
        first = [call for call in peer.echo.seen if call.stream.number == 1]
        assert all(call.is_reset for call in first)

    play(scene, stream_window=1000)


def floods():
    for name, unit in {
        "pings": lambda n: frame(frames.PING, 0, 0, b"12345678"),
        "settings": lambda n: frame(frames.SETTINGS, 0, 0),
        "empty data": lambda n: data(1, b"", 0),
        "padding": lambda n: frame(frames.DATA, frames.PADDED, 1, b"\0"),
        "priorities": lambda n: frame(frames.PRIORITY, 0, 1, b"12345"),
        "empty continuations": lambda n: (
            frame(frames.HEADERS, 0, 3, BLOCK) if not n else frame(frames.CONTINUATION, 0, 3)
        ),
        "window updates": lambda n: frames.window_update(0, 1),
        "unknown frames": lambda n: frame(77, 0, 0),
        "rapid resets": lambda n: (
            frame(frames.HEADERS, OPEN, 2 * n + 3, BLOCK)
            + frames.reset(2 * n + 3, ErrorCode.CANCEL)
        ),
        "streams over the limit": lambda n: frame(frames.HEADERS, OPEN | 1, 2 * n + 3, HOLD),
    }.items():
        yield pytest.param(unit, id=name)


@pytest.mark.parametrize("unit", list(floods()))
def test_a_flood_ends_the_connection(unit):

    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, OPEN, 1, BLOCK))
        await peer.send(b"".join(unit(n) for n in range(150)))
        _, code = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(code) == ErrorCode.ENHANCE_YOUR_CALM

    play(scene, streams=10, control_frames=100, control_frames_per_s=0)


def test_a_continuation_flood_ends_the_connection():
    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, 0, 1, BLOCK))
        await peer.send(frame(frames.CONTINUATION, 0, 1, bytes(1000)) * 20)
        _, code = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(code) == ErrorCode.ENHANCE_YOUR_CALM

    play(scene, limits={"header_bytes": 4000})


def test_headers_that_unpack_to_too_much_end_the_connection():
    # One entry of 3,000 bytes in the table, then referred to again and again.
    block = b"\x40\x01a\x7f\xb9\x16" + b"v" * 3000 + b"\xbe" * 1000

    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, OPEN | 1, 1, block))
        _, code = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(code) == ErrorCode.ENHANCE_YOUR_CALM

    play(scene)
