"""The same methods on our server and on grpc.aio's: clients see no difference."""

import asyncio
import contextlib

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from server.api import grpc_reflection
from server.protocol.grpc.server import GrpcOptions, GrpcServer
from tests.support.grpc_methods import LARGE, Reference, Servicer, methods

ARGUMENTS = {"grpc.max_receive_message_length": 10_000}


def run(kind, test, arguments=ARGUMENTS):
    async def main():
        checks, servicer = health.aio.HealthServicer(), Servicer()
        server = kind(methods(servicer, checks), GrpcOptions(arguments=arguments))
        port = await server.start()
        options = list(LARGE.items()) if arguments is LARGE else []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            channel.servicer = servicer
            result = await asyncio.wait_for(test(channel, checks), 120)
        await server.close(1)
        return result

    return asyncio.run(main())


async def status(call):
    """Returns all that a client sees of how a call ended."""
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        await call
    trailing = [pair for pair in await call.trailing_metadata() or () if pair[0].startswith("x-")]
    return await call.code(), await call.details(), trailing


async def unary(channel, checks):
    call = channel.unary_unary("/test.Service/Unary")(b"ab", metadata=[("x-question", "q")])
    trailing = await call.trailing_metadata()
    return await call, trailing["x-answer"]


async def aborted(channel, checks):
    return await status(channel.unary_unary("/test.Service/Unary")(b"abort"))


async def too_large(channel, checks):
    return await status(channel.unary_unary("/test.Service/Unary")(bytes(10_001)))


async def too_large_inflated(channel, checks):
    call = channel.unary_unary("/test.Service/Unary")
    return (await status(call(bytes(50_000), compression=grpc.Compression.Gzip)))[0]


async def unknown(channel, checks):
    return await status(channel.unary_unary("/test.Service/Nothing")(b""))


async def code_that_is_set(channel, checks):
    return await status(channel.unary_unary("/test.Service/Code")(b""))


async def metadata(channel, checks):
    sent = (("x-text", "a"), ("x-text", "b, c"), ("x-bytes-bin", b"\0,\xff"), ("x-empty", ""))
    call = channel.unary_unary("/test.Service/Metadata")(b"", metadata=sent, timeout=100)
    initial = [pair for pair in await call.initial_metadata() if pair[0].startswith("x-")]
    return initial, await call, await status(call)


async def compressed(channel, checks):
    call = channel.unary_unary("/test.Service/Length")
    return [
        await call(b"abc" * 3000, compression=compression)
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate)
    ]


async def deadlines(channel, checks):
    remaining = channel.unary_unary("/test.Service/Remaining")
    found = [await remaining(b""), await remaining(b"", timeout=500)]
    ended = await status(channel.unary_unary("/test.Service/Wait")(b"", timeout=0.2))
    while not channel.servicer.ended:
        await asyncio.sleep(0.02)
    return found, ended, len(channel.servicer.ended)


async def cancelled(channel, checks):
    call = channel.unary_unary("/test.Service/Wait")(b"")
    await asyncio.sleep(0.2)
    call.cancel()
    while not channel.servicer.ended:
        await asyncio.sleep(0.02)
    return (await status(call))[0], len(channel.servicer.ended)


async def failing_stream(channel, checks):
    call = channel.stream_stream("/test.Service/Both")()
    await call.write(b"a")
    answer = await call.read()
    await call.write(b"fail")
    return answer, await call.code(), await call.details()


async def large_messages(channel, checks):
    message = bytes(100 * 2**20)
    assert len(await channel.stream_stream("/test.Service/Both")(iter([message])).read()) == (
        2 * len(message)
    )
    return await channel.unary_unary("/test.Service/Length")(message)


async def large_metadata(channel, checks):
    call = channel.unary_unary("/test.Service/Unary")
    value = "v" * 100_000
    ended = await status(call(b"a", metadata=[("x-question", value)]))
    assert ended[2] == [("x-answer", value)]
    return ended


async def metadata_over_the_limit(channel, checks):
    call = channel.unary_unary("/test.Service/Unary")
    other = channel.unary_unary("/test.Service/Length")(b"abc")
    code, details, _ = await status(call(b"a", metadata=[("x-question", "v" * 100_000)]))
    return code, details.partition("(")[0], await other, await status(call(b"a"))


async def a_thousand_streams(channel, checks):
    method = channel.stream_stream("/test.Service/Both")
    calls = [method() for _ in range(1000)]
    for call in calls:
        await call.write(b"a")
    assert {await call.read() for call in calls} == {b"aa"}
    for call in calls:
        await call.done_writing()
    return {await call.code() for call in calls}


async def streams(channel, checks):
    return [
        [message async for message in channel.unary_stream("/test.Service/ServerStream")(b"abc")],
        await channel.stream_unary("/test.Service/ClientStream")(iter([b"a", b"b"])),
        [message async for message in channel.stream_stream("/test.Service/Both")(iter([b"a"]))],
    ]


async def health_states(channel, checks):
    stub = health_pb2_grpc.HealthStub(channel)
    before = (await stub.Check(health_pb2.HealthCheckRequest(service=""))).status
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.Check(health_pb2.HealthCheckRequest(service="none"))
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="a"))
    seen = [(await watch.read()).status]
    await checks.set("a", health_pb2.HealthCheckResponse.SERVING)
    seen.append((await watch.read()).status)
    watch.cancel()
    return before, error.value.code(), seen


async def services(channel, checks):
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="nothing"),
        reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="grpc.reflection.v1.ServerReflectionRequest"
        ),
    ]
    found = []
    for service in grpc_reflection.SERVICES:
        stub = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        answers = [answer async for answer in stub(iter(requests))]
        names = {service.name for service in answers[0].list_services_response.service}
        assert names == {"test.Service", *grpc_reflection.SERVICES}
        assert answers[1].error_response.error_code == 5
        assert len(answers[2].file_descriptor_response.file_descriptor_proto) == 1
        found += map(str, answers)
    return found


@pytest.mark.parametrize(
    "test",
    [
        unary, aborted, too_large, too_large_inflated, unknown, code_that_is_set, metadata,
        compressed, deadlines, cancelled, failing_stream, streams, health_states, services,
        metadata_over_the_limit,
    ],
)  # fmt: skip
def test_the_same_as_on_grpc_aio(test):
    assert run(GrpcServer, test) == run(Reference, test)


@pytest.mark.slow
@pytest.mark.parametrize("test", [large_messages, large_metadata, a_thousand_streams])
def test_the_same_as_on_grpc_aio_at_length(test):
    assert run(GrpcServer, test, LARGE) == run(Reference, test, LARGE)
