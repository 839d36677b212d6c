"""What a gRPC client may cost the server: before it is known, in bytes, and in time."""

import asyncio
import zlib

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2

from server.api import access, grpc_reflection
from server.protocol.grpc.method import Method, of_one_request
from server.protocol.grpc.server import GrpcOptions, GrpcServer
from server.protocol.guard import Guard, Token
from server.protocol.http2 import frames
from server.protocol.http2.frames import PREFACE, frame
from server.protocol.http2.hpack import encode
from server.protocol.limits import Limits, Usage

ADMIN = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
HEADERS = [
    (":method", "POST"), (":scheme", "http"), (":path", "/test/Echo"), ("te", "trailers"),
    ("content-type", "application/grpc"),
]  # fmt: skip
START = PREFACE + frame(frames.SETTINGS, 0, 0) + frame(frames.SETTINGS, frames.ACK, 0)


def methods():
    checks = health.aio.HealthServicer()

    async def echo(request, context):
        return request

    async def collect(requests, context):
        async for request in requests:
            yield str(len(request)).encode()

    parse = health_pb2.HealthCheckRequest.FromString
    serialize = health_pb2.HealthCheckResponse.SerializeToString
    return {
        "/test/Echo": Method(bytes, bytes, echo),
        "/test/Collect": Method(bytes, bytes, stream=collect),
        ADMIN: Method(bytes, bytes, echo),
        "/grpc.health.v1.Health/Check": Method(parse, serialize, checks.Check),
        "/grpc.health.v1.Health/Watch": Method(
            parse, serialize, stream=of_one_request(checks.Watch)
        ),
        **grpc_reflection.methods(["test"], [], descriptor_pool.DescriptorPool()),
    }


class Served:
    """A server and what it holds."""

    def __init__(self, *, token=None, admin_token=None, **limits):
        self.usage, self.refused = Usage(Limits(**limits)), []
        guard = Guard(
            token and Token(token), admin_token and Token(admin_token), is_admin=access.is_admin
        )
        self.server = GrpcServer(
            methods(), GrpcOptions(), guard, self.usage, lambda *why: self.refused.append(why)
        )

    async def __aenter__(self):
        self.port = await self.server.start()
        return self

    async def __aexit__(self, *_):
        await self.server.close(5)
        assert (self.usage.body_bytes, len(self.usage.connections)) == (0, 0)

    def channel(self):
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options)

    async def raw(self, *sent):
        """Sends bytes on a connection of their own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(START + b"".join(sent))
        await writer.drain()
        return reader, writer


def run(main):
    return asyncio.run(asyncio.wait_for(main(), 60))


async def code(call):
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def open_upload(served, number=1, headers=HEADERS, size=60_000):
    """Begins a request and never ends it."""
    prefix = b"\0" + (2**20).to_bytes(4, "big")
    return await served.raw(
        frame(frames.HEADERS, frames.END_HEADERS, number, encode(headers)),
        frame(frames.DATA, 0, number, prefix + bytes(size - 5)),
    )


async def until(condition):
    while not condition():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", [*methods(), "/test/Unknown"])
@pytest.mark.parametrize("sent", [None, "Bearer wrong", "secret"])
def test_no_method_answers_without_the_token(path, sent):
    async def main():
        async with Served(token="secret") as served, served.channel() as channel:
            metadata = [("authorization", sent)] if sent else []
            call = channel.stream_unary(path)(iter([b"x" * 100]), metadata=metadata)
            assert await code(call) == grpc.StatusCode.UNAUTHENTICATED
            ((refused, peer, error),) = served.refused
            assert (refused, error.code.name) == (path, "UNAUTHENTICATED")
            assert peer.startswith("ipv4:127.0.0.1:")

    run(main)


def test_the_token_lets_in_and_the_admin_token_alone_changes():
    async def main():
        async with (
            Served(token="secret", admin_token="admin") as served,
            served.channel() as channel,
        ):
            echo, admin = channel.unary_unary("/test/Echo"), channel.unary_unary(ADMIN)
            good, best = [("authorization", "Bearer secret")], [("authorization", "Bearer admin")]
            for _ in range(3):  # by remembered headers, too
                assert await code(echo(b"x", metadata=good)) == grpc.StatusCode.OK
                assert await code(admin(b"x", metadata=good)) == grpc.StatusCode.PERMISSION_DENIED
                assert await code(echo(b"x", metadata=best)) == grpc.StatusCode.OK
                assert await code(admin(b"x", metadata=best)) == grpc.StatusCode.OK
                assert await code(echo(b"x")) == grpc.StatusCode.UNAUTHENTICATED

    run(main)


def test_a_token_in_trailers_lets_nobody_in():
    async def main():
        async with Served(token="secret") as served:
            reader, writer = await served.raw(
                frame(frames.HEADERS, frames.END_HEADERS, 1, encode(HEADERS)),
                frame(frames.DATA, 0, 1, b"\0\0\0\0\0"),
                frame(frames.HEADERS, 5, 1, encode([("authorization", "Bearer secret")])),
            )
            assert b"grpc-status\x0216" in await reader.read(1000) + await reader.read(1000)
            writer.close()

    run(main)


def test_an_upload_without_a_token_is_not_kept():
    async def main():
        async with Served(token="secret", body_s=1.0) as served:
            uploads = [await open_upload(served) for _ in range(20)]
            for reader, _ in uploads:
                found = b""
                while b"grpc-status\x0216" not in found:
                    found += await reader.read(1000)
                assert served.usage.body_bytes == 0
            for _, writer in uploads:
                writer.close()

    run(main)


def test_bodies_under_way_are_bounded_a_connection_and_in_all():
    async def main():
        async with Served(connection_bytes=100_000, total_bytes=250_000) as served:
            uploads = [await open_upload(served) for _ in range(4)]
            await until(lambda: served.usage.body_bytes == 240_000)
            async with served.channel() as channel:
                echo = channel.unary_unary("/test/Echo")
                assert await code(echo(bytes(90_000))) == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert await code(echo(bytes(110_000))) == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert await code(echo(bytes(1000))) == grpc.StatusCode.OK
                uploads.pop()[1].close()
                await until(lambda: served.usage.body_bytes == 180_000)
                assert await code(echo(bytes(60_000))) == grpc.StatusCode.OK
                # The limit of a connection, whatever is left in all.
                for _, writer in uploads:
                    writer.close()
                await until(lambda: served.usage.body_bytes == 0)
                assert await code(echo(bytes(110_000))) == grpc.StatusCode.RESOURCE_EXHAUSTED

    run(main)


@pytest.mark.parametrize("path", ["/test/Echo", "/test/Collect"])
@pytest.mark.parametrize("limits", [{"message_bytes": 2**20}, {"total_bytes": 2**20}])
def test_a_bomb_is_refused_before_it_has_grown(path, limits):
    bomb = zlib.compress(bytes(50 * 2**20))
    headers = [*HEADERS[:2], (":path", path), *HEADERS[3:], ("grpc-encoding", "deflate")]

    async def main():
        async with Served(**limits) as served:
            body = b"\1" + len(bomb).to_bytes(4, "big") + bomb
            pieces = [body[at : at + 16_000] for at in range(0, len(body), 16_000)]
            reader, writer = await served.raw(
                frame(frames.HEADERS, frames.END_HEADERS, 1, encode(headers)),
                *(frame(frames.DATA, 0, 1, piece) for piece in pieces),
                frame(frames.DATA, frames.END_STREAM, 1),
            )
            found = b""
            while b"grpc-status\x018" not in found:
                data = await reader.read(1000)
                assert data, found
                found += data
            writer.close()

    run(main)


def test_a_large_compressed_message_comes_through_and_others_meanwhile():
    async def main():
        async with Served() as served, served.channel() as channel:
            echo = channel.unary_unary("/test/Echo")
            collect = channel.stream_stream("/test/Collect")
            large = bytes(range(256)) * 100_000
            call = echo(large, compression=grpc.Compression.Gzip)
            stream = collect(iter([large, b"x", large]), compression=grpc.Compression.Gzip)
            while not call.done():
                assert await echo(b"small") == b"small"
            assert await call == large
            # In their order, though the second is inflated before the first could be.
            sizes = [answer async for answer in stream]
            assert sizes == [b"25600000", b"1", b"25600000"]

    run(main)


def test_headers_over_the_limit_end_their_call_alone():
    async def main():
        async with Served() as served, served.channel() as channel:
            echo = channel.unary_unary("/test/Echo")
            first = echo(b"x")
            for size in (70_000, 100_000, 150_000, 70_000):
                call = echo(b"x", metadata=[("large", "v" * size)])
                assert await code(call) == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert "metadata size exceeds" in await call.details()
                assert await echo(b"y", metadata=[("small", "v" * 1000)]) == b"y"
            call = echo(b"x", metadata=[("many", "v")] * 300)
            assert await code(call) == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "256 are the most" in await call.details()
            assert await echo(b"x", metadata=[("many", "v")] * 200) == b"x"
            assert await first == b"x"

    run(main)


def test_a_drain_waits_neither_for_watches_nor_for_the_deaf():
    async def main():
        served = Served()
        await served.__aenter__()
        async with served.channel() as channel:
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
            assert await watch.read()
            _, writer = await served.raw()
            await until(lambda: len(served.usage.connections) == 2)
            # The deaf peer gets five seconds for an answer; the grace would be a minute.
            await served.server.close(60)
            assert await watch.code() == grpc.StatusCode.UNAVAILABLE
            writer.close()
        assert not served.usage.connections

    run(main)


def test_requests_on_connections_that_were_just_made_survive_a_drain():
    async def main():
        served = Served()
        await served.__aenter__()
        request = (
            frame(frames.HEADERS, frames.END_HEADERS, 1, encode(HEADERS)),
            frame(frames.DATA, frames.END_STREAM, 1, b"\0\0\0\0\1x"),
        )
        connections = [await served.raw(*request) for _ in range(50)]
        closing = asyncio.create_task(served.server.close(30))
        for reader, writer in connections:
            found = b""
            while b"grpc-status\x010" not in found:
                data = await reader.read(1000)
                assert data, found
                found += data
            writer.close()
        await closing

    run(main)
