"""The same methods on our server and on grpc.aio's: clients see no difference."""

import asyncio
import contextlib

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
    """Methods that use all that a context offers."""

    def __init__(self):
        self.ended = []

    async def unary(self, request, context):
        if request == b"abort":
            await context.abort(grpc.StatusCode.DATA_LOSS, "lost", (("x-why", "because"),))
        metadata = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-answer", metadata.get("x-question", "")),))
        return request + request

    async def metadata(self, request, context):
        await context.send_initial_metadata((("x-first", "1"), ("x-first-bin", b"\0\xff")))
        context.set_trailing_metadata((("x-last", "a, b"), ("x-last-bin", b"\x80" * 100)))
        assert dict(context.trailing_metadata())["x-last"] == "a, b"
        hidden = ("user-agent",)
        return repr(
            sorted(p for p in map(tuple, context.invocation_metadata()) if p[0] not in hidden)
        ).encode()

    async def code(self, request, context):
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("set, not raised")
        return repr((context.code(), context.details())).encode()

    async def wait(self, request, context):
        context.add_done_callback(lambda c: self.ended.append((c.cancelled(), c.done())))
        await asyncio.sleep(60)

    async def remaining(self, request, context):
        seconds = context.time_remaining()
        kind = context.peer().partition(":")[0]
        return f"{kind} {'none' if seconds is None else round(seconds, -1)}".encode()

    async def length(self, request, context):
        return str(len(request)).encode()

    async def server_stream(self, request, context):
        await context.send_initial_metadata((("x-first", "1"),))
        for byte in request:
            await context.write(bytes([byte]))

    async def client_stream(self, requests, context):
        yield b"".join([request async for request in requests])

    async def both(self, requests, context):
        async for request in requests:
            if request == b"fail":
                await context.abort(grpc.StatusCode.ABORTED, "enough")
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
    for name in ("unary", "metadata", "code", "wait", "remaining", "length"):
        path = f"/test.Service/{name.capitalize()}"
        found[path] = Method(bytes, bytes, getattr(servicer, name))
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


ARGUMENTS = {"grpc.max_receive_message_length": 10_000}
LARGE = {
    "grpc.max_receive_message_length": 200 * 2**20,
    "grpc.max_send_message_length": 200 * 2**20,
    "grpc.max_metadata_size": 200 * 2**10,
    "grpc.absolute_max_metadata_size": 200 * 2**10,
}


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
    found = [await remaining(b""), await remaining(b"", timeout=1000)]
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
