"""How long our HTTP/2 server waits for a peer, for what, and what it keeps meanwhile."""

import asyncio
import contextlib
import struct

import pytest

from server.protocol.http2 import frames
from server.protocol.http2.frames import PREFACE, ErrorCode, frame
from tests.support.http2 import (
    BLOCK,
    HELD,
    HOLD,
    OPEN,
    START,
    data,
    play,
    request,
)


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
