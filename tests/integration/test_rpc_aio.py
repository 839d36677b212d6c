"""Servicers made for grpc.aio behave the same on our server as on grpc.aio's own."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from server.protocol.grpc.aio import AioServer


class Servicer:
    async def unary(self, request, context):
        if request == b"abort":
            await context.abort(grpc.StatusCode.DATA_LOSS, "lost")
        metadata = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-answer", metadata.get("x-question", "")),))
        return request + request

    async def server_stream(self, request, context):
        for byte in request:
            yield bytes([byte])

    async def written(self, request, context):
        for byte in request:
            await context.write(bytes([byte]))

    async def client_stream(self, requests, context):
        return b"".join([request async for request in requests])

    async def both(self, requests, context):
        async for request in requests:
            yield request * 2


def handlers(servicer):
    return grpc.method_handlers_generic_handler(
        "test.Service",
        {
            "Unary": grpc.unary_unary_rpc_method_handler(servicer.unary),
            "ServerStream": grpc.unary_stream_rpc_method_handler(servicer.server_stream),
            "Written": grpc.unary_stream_rpc_method_handler(servicer.written),
            "ClientStream": grpc.stream_unary_rpc_method_handler(servicer.client_stream),
            "Both": grpc.stream_stream_rpc_method_handler(servicer.both),
        },
    )


def run(new_server, test, address="127.0.0.1:0"):
    async def main():
        server = new_server(options=[("grpc.max_receive_message_length", 10_000)])
        server.add_generic_rpc_handlers((handlers(Servicer()),))
        checks = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        names = ["test.Service", reflection.SERVICE_NAME]
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names), server
        )
        port = server.add_insecure_port(address)
        await server.start()
        target = address if address.startswith("unix:") else f"127.0.0.1:{port}"
        async with grpc.aio.insecure_channel(target) as channel:
            result = await asyncio.wait_for(test(channel, checks), 30)
        await server.stop(1)
        return result

    return asyncio.run(main())


async def unary(channel, checks):
    call = channel.unary_unary("/test.Service/Unary")(b"ab", metadata=[("x-question", "q")])
    trailing = await call.trailing_metadata()
    return await call, trailing["x-answer"]


async def aborted(channel, checks):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await channel.unary_unary("/test.Service/Unary")(b"abort")
    return error.value.code(), error.value.details()


async def too_large(channel, checks):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await channel.unary_unary("/test.Service/Unary")(bytes(10_001))
    return error.value.code(), error.value.details()


async def unknown(channel, checks):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await channel.unary_unary("/test.Service/Nothing")(b"")
    return error.value.code(), error.value.details()


async def streams(channel, checks):
    return [
        [message async for message in channel.unary_stream("/test.Service/ServerStream")(b"abc")],
        [message async for message in channel.unary_stream("/test.Service/Written")(b"abc")],
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
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="nothing"),
    ]
    return [str(answer) async for answer in stub.ServerReflectionInfo(iter(requests))]


@pytest.mark.parametrize(
    "test", [unary, aborted, too_large, unknown, streams, health_states, services]
)
def test_the_same_as_on_grpc_aio(test):
    assert run(AioServer, test) == run(grpc.aio.server, test)


def test_a_unix_socket_takes_the_place_of_a_dead_one(tmp_path):
    address = f"unix:{tmp_path / 's'}"
    assert run(AioServer, unary, address) == (b"abab", "q")
    assert run(AioServer, unary, address) == (b"abab", "q")


def test_an_address_that_is_taken_is_refused():
    server = AioServer([("grpc.so_reuseport", 0)])
    port = server.add_insecure_port("127.0.0.1:0")
    with pytest.raises(RuntimeError, match=f"Failed to bind to address 127.0.0.1:{port}"):
        server.add_insecure_port(f"127.0.0.1:{port}")
    for bound, _ in server._bound:
        bound.close()
