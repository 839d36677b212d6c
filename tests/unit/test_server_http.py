"""The HTTP server: keep-alive, pipelining, limits, a gentle end."""

import asyncio

import pytest

from server.protocol.http1.messages import Response
from server.protocol.http1.server import HttpOptions, HttpServer
from server.protocol.limits import Usage


async def echo(request):
    if request.path == "/slow":
        await asyncio.sleep(0.2)
    if request.path == "/fail":
        raise RuntimeError("on purpose")
    return Response(request.path.encode() + b" " + request.body, content_type="text/plain")


class Peer:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def response(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length: ")[1].split("\r\n")[0])
        return int(head.split()[1]), head, await self.reader.readexactly(size)

    async def is_closed(self):
        return await asyncio.wait_for(self.reader.read(), 10) == b""


def run(test, **options):
    async def main():
        server = HttpServer(echo, HttpOptions(**options), Usage())
        port = await server.start()

        async def connect():
            return Peer(*await asyncio.open_connection("127.0.0.1", port))

        await test(server, connect)
        await asyncio.wait_for(server.close(), 20)

    asyncio.run(main())


def test_a_connection_carries_many_requests():
    async def test(server, connect):
        peer = await connect()
        for n in range(3):
            await peer.send(b"POST /%d HTTP/1.1\r\nContent-Length: 2\r\n\r\nab" % n)
            status, head, body = await peer.response()
            assert (status, body) == (200, b"/%d ab" % n)
            assert "date: " in head

    run(test)


def test_pipelined_requests_are_answered_in_order():
    async def test(server, connect):
        peer = await connect()
        paths = [b"/slow", *(b"/%d" % n for n in range(100))]
        await peer.send(b"".join(b"GET %s HTTP/1.1\r\n\r\n" % path for path in paths))
        for path in paths:
            assert (await peer.response())[2] == path + b" "

    run(test)


def test_chunks_make_one_body_and_waiting_clients_are_told_to_go_on():
    async def test(server, connect):
        peer = await connect()
        await peer.send(
            b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        )
        assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        assert (await peer.response())[2] == b"/x abc"

    run(test)


def test_head_has_no_body_and_old_clients_get_closed():
    async def test(server, connect):
        peer = await connect()
        await peer.send(b"HEAD /x HTTP/1.0\r\n\r\n")
        head = await peer.reader.read()
        assert b"Content-Length: 3\r\n" in head
        assert head.endswith(b"\r\n\r\n")

    run(test)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + b"x" * 255, 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
        (b"GET /fail HTTP/1.1\r\nConnection: close\r\n\r\n", 500),
    ],
)
def test_what_breaks_the_rules_is_answered_and_closed(data, status):
    async def test(server, connect):
        peer = await connect()
        await peer.send(data)
        assert (await peer.response())[0] == status
        assert await peer.is_closed()

    run(test, max_body_bytes=10)


def test_a_request_that_trickles_in_is_ended():
    async def test(server, connect):
        slow, other = await connect(), await connect()
        await slow.send(b"POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\na")
        await other.send(b"GET /y HTTP/1.1\r\n\r\n")
        assert (await other.response())[0] == 200
        assert (await slow.response())[0] == 408
        assert await slow.is_closed()
        assert await other.is_closed()  # idle for too long

    run(test, request_timeout_s=0.3, idle_timeout_s=0.3)


def test_connections_over_the_limit_are_closed():
    async def test(server, connect):
        peers = [await connect() for _ in range(3)]
        await peers[0].send(b"GET /x HTTP/1.1\r\n\r\n")
        assert (await peers[0].response())[0] == 200
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert not await peers[2].is_closed()

    run(test, max_connections=2)


def test_closing_answers_what_has_arrived():
    async def test(server, connect):
        busy, idle = await connect(), await connect()
        await busy.send(b"GET /slow HTTP/1.1\r\n\r\nGET /slow HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0.05)
        await idle.send(b"GET /late HTTP/1.1\r\n\r\n")
        status, head, _ = await busy.response()
        assert (status, "connection: close" in head) == (200, True)
        assert (await idle.response())[2] == b"/late "
        assert await idle.is_closed()
        await closing
        with pytest.raises(OSError):
            await connect()

    run(test)


def test_a_client_that_closes_its_half_gets_its_answer_and_no_more():
    async def test(server, connect):
        peer = await connect()
        await peer.send(b"GET /slow HTTP/1.1\r\n\r\n")
        peer.writer.write_eof()
        assert (await peer.response())[2] == b"/slow "
        assert await peer.is_closed()

    run(test)
