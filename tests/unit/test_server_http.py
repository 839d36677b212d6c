"""The HTTP server: keep-alive, pipelining, limits, a gentle end."""

import asyncio

import pytest

from server.errors import Code, ServingError
from server.protocol.guard import Guard, Token
from server.protocol.http1.messages import Response
from server.protocol.http1.refusals import error_response
from server.protocol.http1.server import HttpOptions, HttpServer
from server.protocol.limits import Limits, Share, Usage


class Echo:
    """Answers with path and body; lets in who bears the token, if there is one."""

    def __init__(self, token=None):
        self.guard = Guard(token and Token(token), open_paths={"/open"})
        self.seen = []
        self.refusals = []

    def admit(self, request):
        self.seen.append(request)
        try:
            self.guard.check(
                request.path, request.headers.get("authorization", ""), is_local=request.is_local
            )
        except ServingError as error:
            return error_response(error.http_status, error.message)

    def refused(self, request, response):
        self.refusals.append((request.method, request.path, response.status))

    async def __call__(self, request):
        if request.path == "/slow":
            await asyncio.sleep(0.2)
        if request.path == "/fail":
            raise RuntimeError("on purpose")
        if request.path.startswith("/large"):
            return Response(b"x" * int(request.query or 2**25))
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


def run(test, *, token=None, **limits):
    async def main():
        usage = Usage(Limits(**limits))
        server = HttpServer(Echo(token), HttpOptions(sweep_s=0.05), usage)
        port = await server.start()

        async def connect():
            return Peer(*await asyncio.open_connection("127.0.0.1", port))

        await test(server, connect)
        await asyncio.wait_for(server.close(15), 20)
        await asyncio.sleep(0)
        assert (usage.body_bytes, server.backlog_bytes) == (0, 0)
        assert not usage.connections

    asyncio.run(main())


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def request(path=b"/x", body=None, *headers):
    lines = [b"%s %s HTTP/1.1" % (b"GET" if body is None else b"POST", path), b"Host: a", *headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def test_a_connection_carries_many_requests():
    async def test(server, connect):
        peer = await connect()
        for n in range(3):
            await peer.send(request(b"/%d" % n, b"ab"))
            status, head, body = await peer.response()
            assert (status, body) == (200, b"/%d ab" % n)
            assert "date: " in head

    run(test)


def test_pipelined_requests_are_answered_in_order():
    async def test(server, connect):
        peer = await connect()
        paths = [b"/slow", *(b"/%d" % n for n in range(1000))]
        await peer.send(b"".join(map(request, paths)))
        for path in paths:
            assert (await peer.response())[2] == path + b" "

    run(test)


@pytest.mark.parametrize("stride", [1, 7, 1000, 10**6])
def test_bodies_come_whole_however_they_are_cut(stride):
    async def test(server, connect):
        peer = await connect()
        bodies = [b"", b"a", bytes(range(256)) * 30]
        chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        for size in (1, 5000, 3):
            chunked += b"%x;name=value\r\n%s\r\n" % (size, b"c" * size)
        sent = b"".join(request(b"/x", body) for body in bodies)
        sent += chunked + b"0\r\nTrailer: t\r\n\r\n" + request(b"/last")
        for start in range(0, len(sent), stride):
            peer.writer.write(sent[start : start + stride])
            if stride < 100:
                await asyncio.sleep(0)
        for body in bodies:
            assert (await peer.response())[2] == b"/x " + body
        assert (await peer.response())[2] == b"/c " + b"c" * 5004
        assert (await peer.response())[2] == b"/last "

    run(test)


def test_chunks_make_one_body_and_waiting_clients_are_told_to_go_on():
    async def test(server, connect):
        peer = await connect()
        head = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        await peer.send(request(b"/slow") + head + b"Expect: 100-continue\r\n\r\n")
        assert (await peer.response())[2] == b"/slow "
        assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        assert (await peer.response())[2] == b"/x abc"

    run(test)


def test_trailer_fields_are_no_headers():
    async def test(server, connect):
        peer = await connect()
        await peer.send(
            b"POST /open HTTP/1.1\r\nHost: a\r\nX: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\na\r\n0\r\nAuthorization: Bearer t\r\nX: 2\r\n\r\n"
        )
        assert (await peer.response())[::2] == (200, b"/open a")
        assert server.handler.seen[0].headers == {"host": "a", "x": "1",
                                                  "transfer-encoding": "chunked"}  # fmt: skip
        await peer.send(
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\na\r\n0\r\nAuthorization: Bearer t\r\n\r\n"
        )
        assert (await peer.response())[0] == 401
        assert await peer.is_closed()

    run(test, token="t")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
@pytest.mark.parametrize("cut", [0, 1, 30, 10**6])
def test_upgrades_are_ignored(protocol, cut):
    async def test(server, connect):
        peer = await connect()
        headers = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + protocol,
                   b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]  # fmt: skip
        chunked = b"3\r\nabc\r\n0\r\n\r\n"
        sent = request(b"/1", b"body", *headers) + request(b"/2", None, *headers)
        sent += request(b"/3", None, *headers, b"Transfer-Encoding: chunked") + chunked
        sent += request(b"/4", b"")
        await peer.send(sent[:cut])
        await asyncio.sleep(0.01)
        await peer.send(sent[cut:])
        for expected in (b"/1 body", b"/2 ", b"/3 abc", b"/4 "):
            assert (await peer.response())[::2] == (200, expected)

    run(test)


def test_head_has_no_body_and_old_clients_get_closed():
    async def test(server, connect):
        peer = await connect()
        await peer.send(b"HEAD /x HTTP/1.0\r\n\r\n")
        head = await peer.reader.read()
        assert b"Content-Length: 3\r\n" in head
        assert head.endswith(b"\r\n\r\n")

    run(test)

    async def refused(server, connect):
        peer = await connect()
        await peer.send(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" + request(b"/open"))
        assert b" 401 " in await peer.reader.readuntil(b"\r\n\r\n")
        assert (await peer.response())[2] == b"/open "

    run(refused, token="t")


HOST = b"Host: a\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 11\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + b"x" * 255,
         413),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 100_000, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x" * 100_000, 431),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /" + b"x" * 100_000, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: x\r\n" * 257 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 10**6,
         431),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"x" * 10**6,
         431),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
         + b"X: x\r\n" * 257, 431),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\na", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 1\r\n\r\na", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\na", 400),
        (b"POST / HTTP/1.1\r\n" + HOST
         + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST
         + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n", 400),
        (b"GET /fail HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", 500),
    ],
)  # fmt: skip
def test_what_breaks_the_rules_is_answered_and_closed(data, status):
    async def test(server, connect):
        peer = await connect()
        await peer.send(data)
        assert (await peer.response())[0] == status
        assert await peer.is_closed()

    run(test, message_bytes=10)


@pytest.mark.parametrize("part", [b"x", b"x: y\r\n", b" "])
def test_endless_headers_are_refused_as_they_come(part):
    async def test(server, connect):
        peer = await connect()
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        piece = part * (4000 // len(part))
        for _ in range(100):
            peer.writer.write(piece)
            await asyncio.sleep(0.001)
            if peer.reader._buffer:
                break
        assert (await peer.response())[0] == 431

    run(test)


@pytest.mark.parametrize("target", [b"/p?q", b"http://a/p?q", b"HTTP://b:1/p?q"])
def test_targets_may_be_absolute(target):
    async def test(server, connect):
        peer = await connect()
        await peer.send(request(target))
        assert (await peer.response())[2] == b"/p "

    run(test)


def test_the_token_is_looked_at_before_the_body():
    async def test(server, connect):
        peer = await connect()
        await peer.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n"
                        b"Expect: 100-continue\r\n\r\n")  # fmt: skip
        status, head, _ = await peer.response()
        assert (status, "connection: close" in head) == (401, True)
        assert await peer.is_closed()
        peer = await connect()
        await peer.send(request() + request(b"/y", b"") + request(b"/open"))
        for expected in (401, 401, 200):  # without a body, the connection stays
            assert (await peer.response())[0] == expected
        await peer.send(request(b"/x", b"body", b"Authorization: Bearer t"))
        assert (await peer.response())[2] == b"/x body"
        await peer.send(request(b"/x", b"body", b"Authorization: Bearer wrong") + request(b"/open"))
        assert (await peer.response())[0] == 401
        assert await peer.is_closed()
        assert server.usage.body_bytes == 0

    run(test, token="t")


def test_bodies_of_all_connections_share_a_budget():
    async def test(server, connect):
        first, second, third = [await connect() for _ in range(3)]
        await first.send(request(b"/x", b"x" * 60)[:-1])
        await until(lambda: server.usage.body_bytes == 59)
        await second.send(request(b"/x", b"x" * 60))
        assert (await second.response())[0] == 429
        assert await second.is_closed()
        await third.send(request(b"/x", b"x" * 30))
        assert (await third.response())[0] == 200
        await first.send(b"x")
        assert (await first.response())[0] == 200

    run(test, total_bytes=100)


def test_a_request_that_trickles_in_is_ended():
    async def test(server, connect):
        slow, other, head, silent = [await connect() for _ in range(4)]
        await slow.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na")
        await other.send(request(b"/y"))
        await head.send(b"GET / HT")
        assert (await other.response())[0] == 200
        assert (await slow.response())[0] == 408
        assert await slow.is_closed()
        assert (await head.response())[0] == 408
        assert await other.is_closed()  # idle for too long
        assert await silent.is_closed()

    run(test, headers_s=0.3, body_s=0.3, idle_s=0.3)


def test_a_body_that_gets_on_may_take_its_time():
    async def test(server, connect):
        peer = await connect()
        sent = request(b"/x", b"x" * 1000)
        await peer.send(sent[:-1000])
        for _ in range(10):
            await peer.send(b"x" * 100)
            await asyncio.sleep(0.1)
        assert (await peer.response())[0] == 200

    run(test, body_s=0.5, progress_bytes=100)


def test_a_peer_that_does_not_read_is_ended():
    async def test(server, connect):
        peers = [await connect() for _ in range(2)]
        await peers[0].send(request(b"/large"))
        await peers[1].send(request(b"/large", None, b"Connection: close"))
        await until(lambda: len(server.connections) == 2)
        for peer in peers:
            peer.writer.transport.pause_reading()
        await until(lambda: not server.connections)

    run(test, write_s=0.3, idle_s=60)


def test_a_peer_that_reads_slowly_gets_its_answer():
    async def test(server, connect):
        peer = await connect()
        await peer.send(request(b"/large?%d" % 2**25))
        await peer.reader.readuntil(b"\r\n\r\n")
        for _ in range(32):
            await peer.reader.readexactly(2**20)
            await asyncio.sleep(0.03)
        await peer.send(request(b"/x"))
        assert (await peer.response())[2] == b"/x "

    run(test, write_s=0.5)


def test_requests_that_wait_are_bounded():
    async def test(server, connect):
        peer = await connect()
        peer.writer.transport.pause_reading()
        sent = request(b"/large") + request(b"/x") * 20_000
        peer.writer.write(sent)
        await until(lambda: server.backlog_bytes)
        (connection,) = server.connections
        await asyncio.sleep(0.2)
        assert connection._queued < 70_000
        assert server.backlog_bytes <= 2**20
        peer.writer.transport.resume_reading()
        for _ in range(20_001):
            assert (await peer.response())[0] == 200

    run(test)


def test_a_backlog_of_all_connections_is_bounded():
    async def test(server, connect):
        server.max_backlog_bytes = 100_000
        peers = [await connect() for _ in range(10)]
        for peer in peers:
            peer.writer.transport.pause_reading()
            peer.writer.write(request(b"/large") + request(b"/x") * 20_000)
        await until(lambda: len(server.connections) < 10)
        for peer in peers:
            peer.writer.transport.abort()
        await until(lambda: not server.connections)

    run(test)


def test_more_connections_take_the_place_of_those_that_wait_longest():
    async def test(server, connect):
        idle, busy, begun = [await connect() for _ in range(3)]
        await idle.send(request())
        await idle.response()
        await begun.send(request(b"/x", b"ab")[:-1])
        await until(lambda: server.usage.body_bytes == 1)
        await busy.send(request(b"/slow"))
        await until(lambda: server.handler.seen[-1].path == "/slow")
        late = await connect()
        assert (await busy.response())[2] == b"/slow "
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert not await idle.is_closed()
        await begun.send(b"b")
        assert (await begun.response())[2] == b"/x ab"
        await late.send(request(b"/late"))
        assert (await late.response())[2] == b"/late "

    run(test, connections=3)


def test_connections_over_the_limit_are_closed_where_all_others_are_served():
    async def test(server, connect):
        peers = [await connect() for _ in range(2)]
        for peer in peers:
            await peer.send(request(b"/slow"))
        await until(lambda: len(server.handler.seen) == 2)
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert not await (await connect()).is_closed()
        for peer in peers:
            assert (await peer.response())[0] == 200

    run(test, connections=2)


def test_closing_answers_what_has_arrived():
    async def test(server, connect):
        busy, idle = await connect(), await connect()
        await busy.send(request(b"/slow") + request(b"/slow"))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(server.close(10))
        await asyncio.sleep(0.05)
        await idle.send(request(b"/late"))
        assert (await busy.response())[0] == 200
        status, head, _ = await busy.response()
        assert (status, "connection: close" in head) == (200, True)
        assert (await idle.response())[2] == b"/late "
        assert await idle.is_closed()
        await closing
        with pytest.raises(OSError):
            await connect()

    run(test)


def test_closing_does_not_wait_for_peers_that_do_not_get_on():
    async def test(server, connect):
        slow, deaf, begun = [await connect() for _ in range(3)]
        await slow.send(b"GET / HTTP/1.1\r\nHo")
        await begun.send(request(b"/x", b"ab")[:-1])
        await deaf.send(request(b"/large"))
        deaf.writer.transport.pause_reading()
        await until(lambda: len(server.handler.seen) == 2)
        await asyncio.wait_for(server.close(60), 20)

    run(test)


def test_closing_ends_with_the_grace():
    async def test(server, connect):
        peer = await connect()
        await peer.send(request(b"/slow") * 1000)
        await until(lambda: server.handler.seen)
        await asyncio.wait_for(server.close(0.5), 10)

    run(test)


def test_a_client_that_closes_its_half_gets_its_answer_and_no_more():
    async def test(server, connect):
        peer = await connect()
        await peer.send(request(b"/slow"))
        peer.writer.write_eof()
        assert (await peer.response())[2] == b"/slow "
        assert await peer.is_closed()

    run(test)


def test_shares_of_a_budget_are_bounded_and_given_back():
    usage = Usage(Limits(connection_bytes=10, total_bytes=15))
    first, second = Share(usage), Share(usage)
    first.take(10)
    for share, size in ((first, 1), (second, 6)):
        with pytest.raises(ServingError) as caught:
            share.take(size)
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
    first.give(4)
    second.take(6)
    first.close()
    first.give(6)
    assert usage.body_bytes == second.taken == 6


@pytest.mark.parametrize("unit", [1000, 2**20])
def test_a_long_body_arrives_as_it_was_sent(unit):
    """However it is kept: what is long isn't put together at its end."""

    async def test(server, connect):
        peer = await connect()
        body = bytes(range(251)) * (6 * 2**20 // 251)
        data = request(b"/x", body)
        for start in range(0, len(data), unit):
            await peer.send(data[start : start + unit])
            if unit < 10_000 and start % (400 * unit) == 0:
                await asyncio.sleep(0)
        assert (await peer.response())[2] == b"/x " + body
        await peer.send(request(b"/y", b"short"))
        assert (await peer.response())[2] == b"/y short"

    run(test)


def test_what_the_protocol_refuses_is_told_to_the_handler():
    async def test(server, connect):
        for data, expected in (
            (b"GET / HTTP/1.1\r\n\r\n", ("GET", "/", 400)),
            (b"nonsense\r\n\r\n", ("", "", 400)),
            (request(b"/long?query", b"x" * 11), ("POST", "/long", 413)),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000, ("", "", 431)),
            (
                b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n",
                ("POST", "/slow", 408),
            ),
        ):
            peer = await connect()
            await peer.send(data)
            assert (await peer.response())[0] == expected[2]
            assert server.handler.refusals.pop() == expected
            assert server.handler.refusals == []

    run(test, message_bytes=10, body_s=0.2)


def test_what_the_handler_refuses_is_not_told_to_it_again():
    async def test(server, connect):
        peer = await connect()
        await peer.send(request(b"/x", b"body"))
        assert (await peer.response())[0] == 401
        assert server.handler.refusals == []

    run(test, token="secret")


def test_answers_that_nobody_reads_are_bounded_in_total():
    """Whose client has read nothing for the longest time goes first; what is alone stays."""

    async def test(server, connect):
        usage, size = server.usage, 16 * 2**20
        first, second = await connect(), await connect()
        await first.send(request(b"/large?%d" % size))
        await until(lambda: usage.unread_bytes)
        await second.send(request(b"/large?%d" % size))
        await until(lambda: len(usage.connections) == 1)
        assert 0 < usage.unread_bytes <= size
        assert (await second.response())[2] == b"x" * size
        await until(lambda: not usage.unread_bytes)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await first.response()

    run(test, total_bytes=2**20)
