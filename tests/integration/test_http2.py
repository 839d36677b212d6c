"""Our HTTP/2 server against peers that use its corners, or send noise."""

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
from server.protocol.http2.frames import PREFACE, ErrorCode, frame
from server.protocol.http2.hpack import NO_TABLE, encode
from server.protocol.limits import LINGER_S
from tests.support.http2 import (
    BLOCK,
    END,
    HEAD,
    HEADERS,
    HELD,
    HOLD,
    OPEN,
    START,
    data,
    feed,
    headers,
    play,
    pseudo,
    request,
    with_body,
)


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


async def drain_with_a_request(peer):
    """Drains the connection once its request is there, as far as the second GOAWAY."""
    while not peer.echo.seen:
        await asyncio.sleep(0.01)
    peer.connection.drain()
    ping = await peer.until(frames.PING)
    await peer.send(frame(frames.PING, frames.ACK, 0, ping))
    await peer.until(frames.GOAWAY)


def tcp_pair():
    """Returns two ends of a TCP connection; the kernel keeps little of what the second is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.socket()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        theirs.connect(server.getsockname())
        ours, _ = server.accept()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
    return ours, theirs


def test_the_last_answer_reaches_a_peer_that_reads_late_and_goes_on_sending():
    """A socket that is closed with something unread is reset, and drops what it has yet to send."""
    body = bytes(400_000)

    async def scene(peer):
        settings = frame(frames.SETTINGS, 0, 0, struct.pack(">HI", 4, 2**20))
        wider = frame(frames.WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**20))
        held = frame(frames.HEADERS, OPEN | 1, 1, HOLD)
        await peer.send(PREFACE + settings + frame(frames.SETTINGS, frames.ACK, 0) + wider + held)
        await drain_with_a_request(peer)
        peer.connection.sender.respond(peer.echo.seen[0].stream, HEAD, body, END)
        for _ in range(3):
            await asyncio.sleep(0.05)
            await peer.send(frame(frames.PING, 0, 0, bytes(8)))
        await peer.until(frames.HEADERS, 1)
        received = 0
        while received < len(body):
            received += len(await peer.until(frames.DATA, 1))
        assert await peer.until(frames.HEADERS, 1) == END

    play(scene, pair=tcp_pair)


def test_the_peer_ends_a_drained_connection_after_its_last_answer():
    async def scene(peer):
        await peer.send(START + frame(frames.HEADERS, OPEN | 1, 1, HOLD))
        await drain_with_a_request(peer)
        peer.connection.sender.respond(peer.echo.seen[0].stream, HEAD, b"held", END)
        await peer.until(frames.DATA, 1)
        assert await peer.until(frames.HEADERS, 1) == END
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.loop.sock_recv(peer.socket, 1), LINGER_S / 4)
        assert await peer.receive() == b""  # though not for ever

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
