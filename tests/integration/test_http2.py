"""Our HTTP/2 server against peers that use its corners, break its rules or send noise."""

import asyncio
import contextlib
import itertools
import socket
import struct

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.protocol.http2 import frames
from server.protocol.http2.frames import PREFACE, ErrorCode, frame
from server.protocol.http2.hpack import NO_TABLE, encode
from tests.support.http2 import (
    BLOCK,
    END,
    HEAD,
    HEADERS,
    HOLD,
    OPEN,
    START,
    data,
    feed,
    play,
    request,
)  # fmt: skip

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


def pseudo(*, method="POST", scheme="http", path="/x", more=()):
    fields = [(":method", method), (":scheme", scheme), (":path", path)]
    return [(name, value) for name, value in fields if value is not None] + list(more)


def headers(*fields, flags=OPEN | frames.END_STREAM):
    return frame(frames.HEADERS, flags, 1, encode(fields))


def with_body(fields, body, trailers=None):
    sent = headers(*fields, flags=OPEN)
    if trailers is None:
        return sent + data(1, body)
    return sent + data(1, body, 0) + headers(*trailers)


HELD = frame(frames.HEADERS, OPEN | frames.END_STREAM, 1, HOLD)
GOOD = frame(frames.HEADERS, OPEN, 1, BLOCK)

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


def test_what_was_on_its_way_when_a_request_was_refused_is_ignored():
    async def scene(peer):
        await peer.send(START + headers(*pseudo(method=None), flags=OPEN))
        await peer.until(frames.RST_STREAM, 1)
        await peer.send(data(1, b"x" * 2000, 0) + headers(("a", "b")) + request(3, b"next"))
        assert await peer.until(frames.DATA, 3) == b"next"
        assert frames.RST_STREAM not in [kind for kind, *_ in peer.passed]

    play(scene)


def test_trailers_are_read_and_are_no_headers():
    async def scene(peer):
        await peer.send(START + with_body(pseudo(), b"ab", [("authorization", "Bearer x")]))
        assert await peer.until(frames.DATA, 1) == b"ab"
        assert peer.echo.seen[0].head.get(b"authorization") == b""

    play(scene)


@pytest.mark.parametrize("size", [1, 3, 9, 100])
def test_headers_come_in_any_pieces(size):
    frames_of_one = frames.headers(1, BLOCK, size, ends=True)
    for cut in range(len(frames_of_one) + 1):
        written = feed([START + frames_of_one[:cut], frames_of_one[cut:] + request(3)])
        assert frame(frames.HEADERS, OPEN | 1, 1, END) in written
        assert data(3, b"hi", 0) in written


def test_headers_of_a_response_over_the_frame_size_are_continued():
    long = encode([("long", "x" * 40_000)])

    async def scene(peer):
        await peer.send(START + HELD)
        await asyncio.sleep(0.05)
        peer.connection.sender.respond(peer.echo.seen[0].stream, HEAD + long, b"hi", long + END)
        first = await peer.until(frames.HEADERS, 1)
        rest = [await peer.until(frames.CONTINUATION, 1) for _ in range(2)]
        assert first + b"".join(rest) == NO_TABLE + HEAD + long
        assert await peer.until(frames.DATA, 1) == b"hi"
        assert len(await peer.until(frames.HEADERS, 1)) == 16_384
        assert len(await peer.until(frames.CONTINUATION, 1)) == 16_384

    play(scene)


def test_a_long_download_is_no_flood_however_often_its_window_is_widened():
    body = bytes(400_000)

    async def scene(peer):
        await peer.send(START + frames.settings({frames.INITIAL_WINDOW_SIZE: 0}) + request(1))
        await asyncio.sleep(0.05)
        call = peer.echo.seen[0]
        assert not call.is_reset
        got = b""
        await peer.send(frame(frames.HEADERS, OPEN | 1, 3, HOLD))
        await asyncio.sleep(0.05)
        peer.connection.sender.respond(peer.echo.seen[1].stream, HEAD, body, END)
        await peer.send(frames.window_update(3, 65_535))
        while len(got) < len(body):
            part = await peer.until(frames.DATA, 3)
            got += part
            step = 1024  # as Go's transport with small reads
            updates = b"".join(
                frames.window_update(number, min(step, len(part) - at))
                for at in range(0, len(part), step)
                for number in (0, 3)
            )
            await peer.send(updates)

    play(scene, control_frames=200, control_frames_per_s=0)


def test_what_wider_settings_let_go_comes_after_their_acknowledgement():
    async def scene(peer):
        await peer.send(START + frames.settings({frames.INITIAL_WINDOW_SIZE: 0}) + request(1))
        await peer.until(frames.HEADERS, 1)
        await peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 100}))
        assert await peer.until(frames.DATA, 1) == b"hi"
        assert [kind for kind, *_ in peer.passed] == [frames.SETTINGS]

    play(scene)


def test_window_updates_that_nothing_was_sent_for_are_a_flood():
    async def scene(peer):
        await peer.send(START + request(1) + frames.window_update(0, 1) * 300)
        _, code = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(code) == ErrorCode.ENHANCE_YOUR_CALM

    play(scene, control_frames=100, control_frames_per_s=0)


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


@pytest.mark.parametrize("sent", [b"", PREFACE[:10], START + request(1)[:30]])
def test_a_peer_that_is_too_slow_is_sent_away(sent):
    async def scene(peer):
        await peer.send(sent)
        assert b"too slow" in await peer.until(frames.GOAWAY)
        assert await peer.receive() == b""

    play(scene, limits={"headers_s": 0.1, "body_s": 0.1})


def test_a_slow_answer_is_no_slow_peer():
    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, OPEN | 1, 1, HOLD))
        await asyncio.sleep(0.2)
        await peer.send(request(3))
        assert await peer.until(frames.DATA, 3) == b"hi"

    play(scene, limits={"headers_s": 0.1, "body_s": 0.1})


def test_a_peer_that_does_not_read_is_not_read_either():
    async def scene(peer):
        flood = frame(frames.PING, 0, 0, b"12345678") * 1000
        await peer.send(START)

        async def send_without_end():
            while True:
                await peer.send(flood)

        sending = asyncio.create_task(send_without_end())
        sent = -1
        while sent != (sent := peer.connection.received):
            await asyncio.sleep(0.5)
        sending.cancel()
        assert peer.connection._transport.get_write_buffer_size() < 16 * 2**20

    play(scene, control_frames=10**9)


def test_a_reset_and_a_lost_connection_reach_the_request():
    async def scene(peer):
        await peer.send(
            START
            + frame(frames.HEADERS, OPEN | 1, 1, HOLD)
            + frame(frames.HEADERS, OPEN | 1, 3, HOLD)
            + frames.reset(1, ErrorCode.CANCEL)
            + frame(frames.PING, 0, 0, b"12345678")
        )
        await peer.until(frames.PING)
        assert [call.is_reset for call in peer.echo.seen] == [True, False]
        peer.socket.shutdown(socket.SHUT_RDWR)
        await asyncio.wait_for(asyncio.shield(peer.ended), 10)
        assert [call.is_reset for call in peer.echo.seen] == [True, True]

    play(scene)


def test_a_drain_lets_requests_on_their_way_end():
    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, OPEN | 1, 1, HOLD))
        await asyncio.sleep(0.05)
        peer.connection.drain()
        assert struct.unpack(">II", await peer.until(frames.GOAWAY)) == (2**31 - 1, 0)
        ping = await peer.until(frames.PING)
        # Was on its way before the peer heard of the end, unlike the one after it.
        await peer.send(request(3, b"late") + frame(frames.PING, frames.ACK, 0, ping) + request(5))
        assert await peer.until(frames.DATA, 3) == b"late"
        assert struct.unpack(">II", await peer.until(frames.GOAWAY)) == (3, 0)
        refused = await peer.until(frames.RST_STREAM, 5)
        assert int.from_bytes(refused, "big") == ErrorCode.REFUSED_STREAM
        call = peer.echo.seen[0]
        peer.connection.sender.respond(call.stream, HEAD, b"held", END)
        assert await peer.until(frames.DATA, 1) == b"held"
        while await peer.receive():
            pass

    play(scene)


def exchange(peer, client, bodies):
    """Sends requests by the h2 library and returns the bodies of their answers."""

    async def run():
        streams = {}
        for body in bodies:
            number = client.get_next_available_stream_id()
            client.send_headers(number, HEADERS)
            streams[number] = [body, b"", False]
        while not all(done for _, _, done in streams.values()):
            for number, state in streams.items():
                while state[0] is not None:
                    room = client.local_flow_control_window(number)
                    room = max(min(room, client.max_outbound_frame_size), 0)
                    part, rest = state[0][:room], state[0][room:]
                    if not part and rest:
                        break
                    padding = len(part) % 3 if len(part) + 3 <= room else None
                    client.send_data(number, part, end_stream=not rest, pad_length=padding)
                    state[0] = rest or None
            await peer.send(client.data_to_send())
            received = await peer.receive()
            assert received
            for event in client.receive_data(received):
                if isinstance(event, h2.events.DataReceived):
                    streams[event.stream_id][1] += event.data
                    if event.flow_controlled_length:
                        client.acknowledge_received_data(
                            event.flow_controlled_length, event.stream_id
                        )
                elif isinstance(event, h2.events.StreamEnded):
                    streams[event.stream_id][2] = True
                else:
                    assert not isinstance(event, h2.events.ConnectionTerminated), event
            await peer.send(client.data_to_send())
        return [body for _, body, _ in streams.values()]

    return run()


@pytest.mark.parametrize(
    ("size", "window"),
    [
        (size, window)
        for size in (0, 1, 3000, 200_000)
        for window in (1, 100, 65_535, 2**20)
        if size // window <= 5000  # frames that are worth the time
    ],
)
def test_small_windows_and_large_bodies(size, window):
    async def scene(peer):
        client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        client.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        client.initiate_connection()
        bodies = [bytes([n]) * (size + n) for n in range(3)]
        assert await exchange(peer, client, bodies) == bodies
        client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**20})
        assert await exchange(peer, client, bodies) == bodies

    play(scene, stream_window=1000, connection_window=70_000, control_frames=10**6)


MANY = START + b"".join(request(n, bytes([n]) * n * 20) for n in range(1, 12, 2))


@settings(max_examples=100, deadline=None)
@given(cuts=st.lists(st.integers(0, len(MANY)), max_size=30))
def test_pieces_make_no_difference(cuts):
    edges = [0, *sorted(cuts), len(MANY)]
    pieces = [MANY[a:b] for a, b in itertools.pairwise(edges)]
    assert feed([p for p in pieces if p]) == feed([MANY])


FRAMES = st.builds(
    frame,
    st.integers(0, 11),
    st.integers(0, 255),
    st.integers(0, 9),
    st.one_of(st.binary(max_size=40), st.just(BLOCK), st.just(b"\0\0\0\1")),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(noise=st.lists(FRAMES, max_size=12), mess=st.binary(max_size=30))
@example(noise=[], mess=b"\xff" * 30)
def test_noise_is_answered_or_ends_the_connection_and_nothing_else(noise, mess):
    written = feed([START, request(1), b"".join(noise), mess])
    assert written[3] == frames.SETTINGS
    assert data(1, b"hi", 0) in written


def test_a_peer_that_does_not_read_is_ended_and_frees_what_waited():
    async def scene(peer):
        many = b"".join(request(n, bytes(60_000)) for n in range(1, 400, 2))
        await peer.send(START + frames.settings({4: 2**30}) + frames.window_update(0, 2**30))
        with contextlib.suppress(OSError):
            await peer.send(many)
        await asyncio.wait_for(asyncio.shield(peer.ended), 10)

    play(scene, limits={"write_s": 0.2})


def test_an_answer_whose_window_stays_closed_is_dropped_and_others_go_on():
    async def scene(peer):
        await peer.send(START + request(1, bytes(70_000)))
        await peer.send(frames.window_update(0, 2**20))
        assert ErrorCode(int.from_bytes(await peer.until(frames.RST_STREAM, 1), "big")) == (
            ErrorCode.CANCEL
        )
        await peer.send(request(3))
        assert await peer.until(frames.DATA, 3) == b"hi"
        assert peer.echo.seen[0].is_reset

    play(scene, limits={"write_s": 0.2})


def test_a_body_that_does_not_get_on_ends_its_request_alone():
    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, OPEN, 1, BLOCK) + data(1, b"x", 0))
        for number in range(3, 43, 2):  # others are answered meanwhile
            await peer.send(request(number))
            await asyncio.sleep(0.02)
        await peer.until(frames.RST_STREAM, 1)
        assert peer.echo.seen[0].is_reset
        await peer.send(request(101))
        assert await peer.until(frames.DATA, 101) == b"hi"

    play(scene, limits={"body_s": 0.2})


def test_settings_that_are_not_acknowledged_end_the_connection():
    async def scene(peer):
        await peer.send(PREFACE + frame(frames.SETTINGS, 0, 0))
        _, code = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(code) == ErrorCode.SETTINGS_TIMEOUT

    play(scene, limits={"headers_s": 0.1})


def test_headers_that_come_byte_by_byte_are_ended_in_time():
    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, 0, 1, BLOCK))
        ended = asyncio.create_task(peer.until(frames.GOAWAY))
        while not ended.done():
            await peer.send(frame(frames.CONTINUATION, 0, 1, BLOCK[:1]))
            await asyncio.sleep(0.03)
        assert b"too slow" in await ended

    play(scene, limits={"headers_s": 0.3})


def test_an_idle_connection_is_told_and_ended():
    async def scene(peer):
        await peer.send(START + request(1))
        assert struct.unpack(">II", await peer.until(frames.GOAWAY)) == (2**31 - 1, 0)
        ping = await peer.until(frames.PING)
        await peer.send(frame(frames.PING, frames.ACK, 0, ping))
        assert struct.unpack(">II", await peer.until(frames.GOAWAY)) == (1, 0)
        assert await peer.receive() == b""

    play(scene, limits={"idle_s": 0.2})


@pytest.mark.parametrize("answers", [True, False])
def test_a_silent_peer_with_a_request_is_asked_whether_it_is_there(answers):
    async def scene(peer):
        await peer.send(START + HELD)
        for _ in range(3):
            ping = await peer.until(frames.PING)
            if not answers:
                await asyncio.wait_for(asyncio.shield(peer.ended), 10)
                return
            await peer.send(frame(frames.PING, frames.ACK, 0, ping))
        assert not peer.ended.done()

    play(scene, keepalive_s=0.2, keepalive_timeout_s=0.2)


def test_more_connections_than_allowed_are_closed_as_they_come():
    async def scene(peer):
        assert await peer.receive() == b""

    play(scene, limits={"connections": 0})


def test_parts_of_frames_are_taken_from_the_budget():
    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, 0, 1, bytes(60_000))[:-1])
        assert b"under way" in await peer.until(frames.GOAWAY)

    play(scene, limits={"total_bytes": 50_000})
