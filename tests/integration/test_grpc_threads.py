"""`--grpc_max_threads`: calls that run at a time, as gRPC's synchronous server counts them."""

import asyncio
import contextlib

import grpc.aio
import pytest

from client.load import __main__ as load
from server.errors import Code, ServingError
from server.launch.options import ServerOptions
from server.launch.settings import read
from server.protocol.grpc.library import LibraryGrpcServer
from server.protocol.grpc.method import Method
from server.protocol.grpc.server import GrpcOptions, GrpcServer
from server.protocol.grpc.threads import Threads
from server.protocol.guard import Guard
from server.protocol.limits import Usage
from tests.support import exports
from tests.support.servers import ServerProcess

REFUSED = (grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
CALLS = 8


class Held:
    """Methods that wait until they are let go."""

    def __init__(self):
        self.running = 0
        self.may_end = asyncio.Event()
        self.methods = {
            "/test/One": Method(bytes, bytes, self.one),
            "/test/Many": Method(bytes, bytes, stream=self.many),
        }

    async def one(self, request, context):
        self.running += 1
        await self.may_end.wait()
        if request == b"fail":
            raise ServingError(Code.INVALID_ARGUMENT, "as asked")
        return request

    async def many(self, requests, context):
        async for request in requests:
            yield await self.one(request, context)


def serve(transport, held, threads):
    methods = Threads(threads).bound(held.methods)
    options, usage = GrpcOptions(), Usage()
    return transport(methods, options, Guard(), usage, lambda path, peer, error: None)


async def outcomes(channel, held, expected, request=b"x"):
    """Statuses of many calls of both kinds at a time, once as many of them run as are expected."""
    unary, stream = channel.unary_unary("/test/One"), channel.stream_stream("/test/Many")
    calls = [unary(request) for _ in range(CALLS)]
    calls += [stream(iter([request])) for _ in range(CALLS)]
    waiting = [asyncio.ensure_future(status(call)) for call in calls]
    while held.running < expected or sum(task.done() for task in waiting) < 2 * CALLS - expected:
        await asyncio.sleep(0.01)
    assert held.running == expected
    held.may_end.set()
    return await asyncio.gather(*waiting)


async def status(call):
    if isinstance(call, grpc.aio.StreamStreamCall):
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call.read()
    return await call.code(), await call.details()


@pytest.mark.parametrize("transport", [GrpcServer, LibraryGrpcServer])
@pytest.mark.parametrize(("threads", "running"), [(0, 2 * CALLS), (1, 0), (2, 1), (6, 5)])
def test_one_thread_waits_and_the_others_run_calls(transport, threads, running):
    async def main():
        held = Held()
        server = serve(transport, held, threads)
        port = await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            found = await outcomes(channel, held, running)
        await server.close(1)
        assert found.count((grpc.StatusCode.OK, "")) == running
        assert found.count(REFUSED) == 2 * CALLS - running, found

    asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize("transport", [GrpcServer, LibraryGrpcServer])
def test_calls_that_fail_or_are_cancelled_give_their_threads_back(transport):
    async def main():
        held = Held()
        server = serve(transport, held, 3)
        port = await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            calls = [
                channel.unary_unary("/test/One")(b"x"),
                channel.stream_stream("/test/Many")(iter([b"x"])),
            ]
            while held.running < 2:
                await asyncio.sleep(0.01)
            for call in calls:
                call.cancel()
            await asyncio.sleep(0.3)
            held.running = 0
            found = await outcomes(channel, held, 2, b"fail")
            assert found.count((grpc.StatusCode.INVALID_ARGUMENT, "as asked")) == 2
            assert await channel.unary_unary("/test/One")(b"x") == b"x"
        await server.close(1)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_negative_number_is_refused():
    with pytest.raises(ServingError, match="--grpc_max_threads is -1; 0 is the least"):
        read(ServerOptions(model_base_path="/models/m", grpc_max_threads=-1))


@pytest.mark.slow
@pytest.mark.parametrize(("threads", "fails"), [(256, False), (2, True)])
def test_32_calls_in_flight_need_their_threads(tmp_path, capsys, threads, fails):
    """As `client.load --grpc --concurrency 32` asks the default stack, whose flag is the first."""
    exports.scaled(tmp_path / "models", 1)
    flags = ["--model_name=scaled", f"--model_base_path={tmp_path / 'models/scaled'}"]
    with ServerProcess(tmp_path / "log", *flags, f"--grpc_max_threads={threads}") as server:
        code = load.main(
            ["--grpc", f"--port={server.grpc_port}", "--model=scaled", "--concurrency=32",
             "--duration=2", "--json"]
        )  # fmt: skip
    printed = capsys.readouterr().out
    assert (code, "RESOURCE_EXHAUSTED" in printed) == (int(fails), fails), printed
