"""A connection of ours whose other end is the test's to play."""

import asyncio
import socket

from server.protocol.http2 import frames
from server.protocol.http2.connection import Http2Connection
from server.protocol.http2.frames import PREFACE, frame
from server.protocol.http2.hpack import encode
from server.protocol.http2.options import Http2Options
from server.protocol.limits import Limits, Usage

HEADERS = [
    (":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "me"),
]  # fmt: skip
BLOCK = encode(HEADERS)
HOLD = encode([*HEADERS[:2], (":path", "/hold")])  # isn't answered
HEAD = encode([(":status", "200")])
END = encode([("done", "1")])
OPEN = frames.END_HEADERS
START = PREFACE + frame(frames.SETTINGS, 0, 0) + frame(frames.SETTINGS, frames.ACK, 0)


class Echo:
    """Answers each request with its body."""

    def __init__(self, connection):
        self.connection = connection
        self.seen = []

    def request(self, stream, head):
        assert head.path
        return EchoCall(self, stream, head)


class EchoCall:
    def __init__(self, echo, stream, head):
        self.echo, self.stream, self.head, self.body = echo, stream, head, b""
        self.echo.seen.append(self)
        self.is_reset = False

    def data(self, chunk):
        self.body += chunk

    def end(self):
        if self.head.path != b"/hold":
            self.echo.connection.sender.respond(self.stream, HEAD, self.body, END)

    def reset(self):
        self.is_reset = True

    def drain(self):
        pass


class Peer:
    """A connection whose other end is ours to play: bytes in, bytes out, in one loop."""

    def __init__(self, limits=None, pair=socket.socketpair, **options):
        self.pair = pair
        self.options = Http2Options(**options)
        self.usage = Usage(Limits(**(limits or {})))

    async def __aenter__(self):
        ours, theirs = self.pair()
        theirs.setblocking(False)
        self.socket = theirs
        self.loop = asyncio.get_running_loop()
        self.ended = self.loop.create_future()

        def connected(connection):
            self.echo = Echo(connection)
            return self.echo

        def closed(connection):
            self.ended.set_result(None)

        def new():
            limits = self.usage.limits
            return Http2Connection(
                connected, self.options, limits, self.usage, lambda _: None, closed
            )

        _, self.connection = await self.loop.create_connection(new, sock=ours)
        self.looking = asyncio.create_task(self.look())
        return self

    async def look(self):
        while True:
            self.connection.look(self.loop.time())
            await asyncio.sleep(0.02)

    async def __aexit__(self, *_):
        self.socket.close()
        await asyncio.wait_for(self.ended, 10)
        self.looking.cancel()
        assert self.usage.body_bytes == 0
        assert not self.usage.connections

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


def play(scene, **settings):
    async def main():
        async with Peer(**settings) as peer:
            return await asyncio.wait_for(scene(peer), 30)

    return asyncio.run(main())


def data(number, body, flags=frames.END_STREAM):
    return frame(frames.DATA, flags, number, body)


def request(number, body=b"hi"):
    return frame(frames.HEADERS, OPEN, number, BLOCK) + data(number, body)


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

    def can_write_eof(self):
        return False

    def get_extra_info(self, name):
        return None

    def set_write_buffer_limits(self, high):
        pass

    def get_write_buffer_size(self):
        return 0


def feed(pieces, **options):
    """Returns what a connection writes when bytes come in the given pieces."""

    async def main():
        sink = Sink()
        usage = Usage()
        connection = Http2Connection(
            Echo, Http2Options(**options), usage.limits, usage, lambda _: None, lambda _: None
        )
        connection.connection_made(sink)
        for piece in pieces:
            connection.data_received(piece)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        connection.connection_lost(None)
        assert usage.body_bytes == 0
        assert not usage.connections
        return sink.written

    return asyncio.run(main())


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
