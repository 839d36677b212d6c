"""Methods that use all that a context offers, on our server and on grpc.aio's."""

import asyncio
import threading
from contextlib import contextmanager

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2

from server.api import grpc_reflection
from server.errors import ServingError
from server.protocol.grpc.method import Method, of_one_request
from server.protocol.grpc.server import GrpcOptions

LARGE = {
    "grpc.max_receive_message_length": 200 * 2**20,
    "grpc.max_send_message_length": 200 * 2**20,
    "grpc.max_metadata_size": 200 * 2**10,
    "grpc.absolute_max_metadata_size": 200 * 2**10,
}


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


@contextmanager
def running(kind, arguments=LARGE):
    """Runs a server of a kind, `GrpcServer` or `Reference`, on a thread; yields its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    async def start():
        server = kind(
            methods(Servicer(), health.aio.HealthServicer()), GrpcOptions(arguments=arguments)
        )
        return server, await server.start()

    server, port = run(start())
    try:
        yield port
    finally:
        run(server.close(0.1))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
