"""The same methods on our server and on grpc.aio's: clients see no difference."""

import asyncio

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from server.api import grpc_reflection
from server.errors import ServingError
from server.protocol.grpc.method import Method, of_one_request
from server.protocol.grpc.server import GrpcOptions, GrpcServer


class Servicer:
    async def unary(self, request, context):
        if request == b"abort":
            await context.abort(grpc.StatusCode.DATA_LOSS, "lost")
        metadata = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-answer", metadata.get("x-question", "")),))
        return request + request

    async def server_stream(self, request, context):
        for byte in request:
            await context.write(bytes([byte]))

    async def client_stream(self, requests, context):
        yield b"".join([request async for request in requests])

    async def both(self, requests, context):
        async for request in requests:
            yield request * 2


def handler(method):
    """A method of ours as grpc.aio takes it."""

    async def unary(request, context):
        try:
            return await method.unary(request, context)
        except ServingError as error:
            await context.abort(_CODES[error.code], error.message)

    async def stream(requests, context):
        responses = method.stream(requests, context)
        if not hasattr(responses, "__aiter__"):
            await responses
            return
        async for response in responses:
            yield response

    kind = grpc.unary_unary_rpc_method_handler
    if method.unary is None:
        kind, unary = grpc.stream_stream_rpc_method_handler, stream
    return kind(unary, request_deserializer=method.parse, response_serializer=method.serialize)


_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Reference:
    """grpc.aio's server with the same methods."""

    def __init__(self, methods, options):
        self._server = grpc.aio.server(options=list(options.arguments.items()))
        for path, method in methods.items():
            _, service, name = path.split("/")
            found = grpc.method_handlers_generic_handler(service, {name: handler(method)})
            self._server.add_generic_rpc_handlers((found,))

    async def start(self):
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return port

    async def close(self, grace_s):
        await self._server.stop(grace_s)


def methods(servicer, checks):
    pool = descriptor_pool.DescriptorPool()
    found = grpc_reflection.methods(["test.Service"], [], pool)
    found["/test.Service/Unary"] = Method(bytes, bytes, servicer.unary)
    for name, function in {
        "ServerStream": of_one_request(servicer.server_stream),
        "ClientStream": servicer.client_stream,
        "Both": servicer.both,
    }.items():
        found[f"/test.Service/{name}"] = Method(bytes, bytes, stream=function)
    parse = health_pb2.HealthCheckRequest.FromString
    serialize = health_pb2.HealthCheckResponse.SerializeToString
    found["/grpc.health.v1.Health/Check"] = Method(parse, serialize, checks.Check)
    found["/grpc.health.v1.Health/Watch"] = Method(
        parse, serialize, stream=of_one_request(checks.Watch)
    )
    return found


def run(kind, test):
    async def main():
        checks = health.aio.HealthServicer()
        options = GrpcOptions(arguments={"grpc.max_receive_message_length": 10_000})
        server = kind(methods(Servicer(), checks), options)
        port = await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            result = await asyncio.wait_for(test(channel, checks), 30)
        await server.close(1)
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
    "test", [unary, aborted, too_large, unknown, streams, health_states, services]
)
def test_the_same_as_on_grpc_aio(test):
    assert run(GrpcServer, test) == run(Reference, test)
