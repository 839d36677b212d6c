"""Our HTTP/2 server against peers that use its corners, break its rules or send noise."""

import asyncio
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
from server.protocol.http2.connection import Connection
from server.protocol.http2.frames import PREFACE, ErrorCode, frame
from server.protocol.http2.header_block import HeaderDecoder, encode
from server.protocol.http2.limits import Limits

HEADERS = [
    (":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "me"),
]  # fmt: skip
BLOCK = encode(HEADERS)
HEAD = encode([(":status", "200")])
END = encode([("done", "1")])
OPEN = frames.END_HEADERS
START = PREFACE + frame(frames.SETTINGS, 0, 0)


class Echo:
    """Answers each request with its body."""

    def __init__(self, connection):
        self.connection = connection
        self.seen = []

    def request(self, stream, headers):
        return EchoCall(self, stream, headers)


class EchoCall:
    def __init__(self, echo, stream, headers):
        self.echo, self.stream, self.headers, self.body = echo, stream, headers, b""
        self.echo.seen.append(self)
        self.is_reset = False

    def data(self, chunk):
        self.body += chunk

    def end(self):
        if self.headers[b":path"] != b"/hold":
            self.echo.connection.sender.respond(self.stream, HEAD, self.body, END)

    def reset(self):
        self.is_reset = True


class Peer:
    """A connection whose other end is ours to play: bytes in, bytes out, in one loop."""

    def __init__(self, limits=Limits()):  # noqa: B008
        self.limits = limits

    async def __aenter__(self):
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.socket = theirs
        self.loop = asyncio.get_running_loop()
        self.ended = self.loop.create_future()

        def connected(connection):
            self.echo = Echo(connection)
            return self.echo

        def closed(connection):
            self.ended.set_result(None)

        _, self.connection = await self.loop.create_connection(
            lambda: Connection(connected, self.limits, lambda _: None, closed), sock=ours
        )
        return self

    async def __aexit__(self, *_):
        self.socket.close()
        await asyncio.wait_for(self.ended, 10)

    async def send(self, data):
        await self.loop.sock_sendall(self.socket, data)

    async def receive(self):
        return await asyncio.wait_for(self.loop.sock_recv(self.socket, 2**20), 10)

    async def until(self, kind, number=None):
        """Returns the payload of the next frame of a kind; what comes before it is in `passed`."""
        buffer, self.passed = getattr(self, "buffer", b""), []
        while True:
            while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                size = int.from_bytes(buffer[:3], "big")
                found, flags = buffer[3], buffer[4]
                stream = int.from_bytes(buffer[5:9], "big")
                payload, buffer = buffer[9 : 9 + size], buffer[9 + size :]
                self.buffer = buffer
                if found == kind and number in (None, stream):
                    return payload
                self.passed.append((found, flags, stream, payload))
            data = await self.receive()
            assert data, f"the connection ended before a frame of kind {kind}: {self.passed}"
            buffer += data


def play(scene, limits=Limits()):  # noqa: B008
    async def main():
        async with Peer(limits) as peer:
            return await asyncio.wait_for(scene(peer), 30)

    return asyncio.run(main())


def data(number, body, flags=frames.END_STREAM):
    return frame(frames.DATA, flags, number, body)


def request(number, body=b"hi"):
    return frame(frames.HEADERS, OPEN, number, BLOCK) + data(number, body)


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
    "data after the end": (
        START + frame(frames.HEADERS, OPEN | 1, 1, encode([*HEADERS[:2], (":path", "/hold")]))
        + data(1, b"x"),
        ErrorCode.STREAM_CLOSED,
    ),
    "headers after the end": (
        START + frame(frames.HEADERS, OPEN | 1, 1, encode([*HEADERS[:2], (":path", "/hold")]))
        + frame(frames.HEADERS, OPEN | 1, 1, BLOCK),
        ErrorCode.STREAM_CLOSED,
    ),
    "trailers that don't end": (
        START + frame(frames.HEADERS, OPEN, 1, BLOCK) + frame(frames.HEADERS, OPEN, 1, BLOCK),
        ErrorCode.PROTOCOL_ERROR,
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
        START + frame(frames.PING, 0, 0, bytes(70_000))[:9], ErrorCode.FRAME_SIZE_ERROR,
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


def floods():
    hold = encode([*HEADERS[:2], (":path", "/hold")])
    for name, unit in {
        "pings": lambda n: frame(frames.PING, 0, 0, b"12345678"),
        "settings": lambda n: frame(frames.SETTINGS, 0, 0),
        "empty data": lambda n: data(1, b"", 0),
        "padding": lambda n: frame(frames.DATA, frames.PADDED, 1, b"\0"),
        "priorities": lambda n: frame(frames.PRIORITY, 0, 1, b"12345"),
        "window updates": lambda n: frames.window_update(0, 1),
        "unknown frames": lambda n: frame(77, 0, 0),
        "rapid resets": lambda n: (
            frame(frames.HEADERS, OPEN, 2 * n + 3, BLOCK)
            + frames.reset(2 * n + 3, ErrorCode.CANCEL)
        ),
        "streams over the limit": lambda n: frame(frames.HEADERS, OPEN | 1, 2 * n + 3, hold),
        "trailers of what is over": lambda n: (
            frame(frames.HEADERS, OPEN | 1, 1, b"") if n else data(1, b"")
        ),
    }.items():
        yield pytest.param(unit, id=name)


@pytest.mark.parametrize("unit", list(floods()))
def test_a_flood_ends_the_connection(unit):
    limits = Limits(streams=10, control_frames=100, control_frames_per_s=0)

    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, OPEN, 1, BLOCK))
        await peer.send(b"".join(unit(n) for n in range(150)))
        _, code = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(code) == ErrorCode.ENHANCE_YOUR_CALM

    play(scene, limits)


def test_a_continuation_flood_ends_the_connection():
    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, 0, 1, BLOCK))
        await peer.send(frame(frames.CONTINUATION, 0, 1, bytes(1000)) * 20)
        _, code = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(code) == ErrorCode.ENHANCE_YOUR_CALM

    play(scene, Limits(header_bytes=10_000))


def test_headers_that_unpack_to_too_much_end_the_connection():
    # One entry of 3,000 bytes in the table, then referred to again and again.
    block = b"\x40\x01a\x7f\xb9\x16" + b"v" * 3000 + b"\xbe" * 1000

    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, OPEN | 1, 1, block))
        _, code = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(code) == ErrorCode.ENHANCE_YOUR_CALM

    play(scene)


def test_more_data_than_the_window_allows_ends_the_connection():
    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, OPEN, 1, BLOCK) + data(1, bytes(65_536), 0))
        _, code = struct.unpack(">II", (await peer.until(frames.GOAWAY))[:8])
        assert ErrorCode(code) == ErrorCode.FLOW_CONTROL_ERROR

    play(scene, Limits(stream_window=1000))


@pytest.mark.parametrize("sent", [b"", PREFACE[:10], START + request(1)[:30]])
def test_a_peer_that_is_too_slow_is_sent_away(sent):
    async def scene(peer):
        await peer.send(sent)
        assert b"too slow" in await peer.until(frames.GOAWAY)
        assert await peer.receive() == b""

    play(scene, Limits(patience_s=0.05))


def test_a_slow_answer_is_no_slow_peer():
    async def scene(peer):
        hold = encode([*HEADERS[:2], (":path", "/hold")])
        await peer.send(START + frame(frames.HEADERS, OPEN | 1, 1, hold))
        await asyncio.sleep(0.2)
        await peer.send(request(3))
        assert await peer.until(frames.DATA, 3) == b"hi"

    play(scene, Limits(patience_s=0.05))


def test_a_peer_that_does_not_read_is_not_read_either():
    async def scene(peer):
        flood = frame(frames.PING, 0, 0, b"12345678") * 1000
        await peer.send(START)

        async def send_without_end():
            while True:
                await peer.send(flood)

        sending = asyncio.create_task(send_without_end())
        sent = -1
        while sent != (sent := peer.connection._received):
            await asyncio.sleep(0.5)
        sending.cancel()
        assert peer.connection._transport.get_write_buffer_size() < 16 * 2**20

    play(scene, Limits(control_frames=10**9))


def test_a_reset_and_a_lost_connection_reach_the_request():
    async def scene(peer):
        hold = encode([*HEADERS[:2], (":path", "/hold")])
        await peer.send(
            START
            + frame(frames.HEADERS, OPEN | 1, 1, hold)
            + frame(frames.HEADERS, OPEN | 1, 3, hold)
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
        hold = encode([*HEADERS[:2], (":path", "/hold")])
        await peer.send(START + frame(frames.HEADERS, OPEN | 1, 1, hold))
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

    play(scene, Limits(stream_window=1000, connection_window=70_000, control_frames=10**6))


class Sink:
    """A transport's writing half, for a connection that is fed by hand."""

    def __init__(self):
        self.written = b""
        self.is_closed = False

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.is_closed

    def close(self):
        self.is_closed = True

    def get_extra_info(self, name):
        return None

    def set_write_buffer_limits(self, high):
        pass


def feed(pieces, limits=Limits()):  # noqa: B008
    """Returns what a connection writes when bytes come in the given pieces."""

    async def main():
        sink = Sink()
        connection = Connection(Echo, limits, lambda _: None, lambda _: None)
        connection.connection_made(sink)
        for piece in pieces:
            connection.data_received(piece)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection.connection_lost(None)
        return sink.written

    return asyncio.run(main())


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


@settings(max_examples=200, deadline=None)
@given(
    blocks=st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "grpc-timeout", ":path", "long-" * 30]),
                st.sampled_from(["", "1", "x" * 200, "y" * 2000]) | st.text("abc", max_size=5),
            ),
            max_size=6,
        ),
        max_size=20,
    ),
    resizes=st.lists(st.sampled_from([0, 64, 4096]), max_size=20),
)
def test_remembered_header_blocks_mean_what_they_meant(blocks, resizes):
    import hpack

    encoder, decoder = hpack.Encoder(), HeaderDecoder(2**20)
    for number, block in enumerate(b for twice in zip(blocks, blocks, strict=True) for b in twice):
        if number < len(resizes):
            encoder.header_table_size = resizes[number]
        expected = {}
        for name, value in block:
            key, text = name.encode(), value.encode()
            expected[key] = expected[key] + b"," + text if key in expected else text
        assert decoder.decode(encoder.encode(block)) == expected
