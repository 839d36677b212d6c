"""The gRPC server of `--transport=library`: grpc.aio."""

from __future__ import annotations

import asyncio
import logging
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from server.errors import ServingError
from server.protocol import sockets
from server.protocol.grpc.method import Method, Methods
from server.protocol.grpc.server import GrpcOptions
from server.protocol.guard import Guard, is_forwarded
from server.protocol.limits import Usage

logger = logging.getLogger(__name__)

_STATUS = {status.value[0]: status for status in grpc.StatusCode}
_MAX_DETAILS = 4000  # a status travels in headers, of which clients take 8 KiB

Refused = Callable[[str, str, ServingError], None]


class LibraryGrpcServer:
    """What `GrpcServer` is, by grpc.aio."""

    def __init__(
        self, methods: Methods, options: GrpcOptions, guard: Guard, usage: Usage, refused: Refused
    ) -> None:
        self._options = options
        limits = usage.limits
        arguments: dict[str, int | str] = {
            "grpc.max_receive_message_length": limits.message_bytes,
            "grpc.max_send_message_length": -1,
            "grpc.max_metadata_size": limits.header_bytes,
            "grpc.max_concurrent_streams": 1000,
            "grpc.max_connection_idle_ms": int(limits.idle_s * 1e3),
            "grpc.server_handshake_timeout_ms": int(limits.headers_s * 1e3),
            **options.arguments,
            "grpc.so_reuseport": int(options.reuse_port),
        }
        self._server = grpc.aio.server(
            interceptors=[_Doorkeeper(guard, refused)], options=list(arguments.items())
        )
        self._server.add_generic_rpc_handlers([_Handlers(methods, guard, refused)])

    async def start(self) -> int | None:
        """Starts listening and returns the port.

        Raises:
            OSError: an address can't be had.
        """
        options, port = self._options, None
        try:
            if options.port is not None:
                port = self._listen(f"{options.host or '[::]'}:{options.port}")
            if options.socket_path:
                self._listen(f"unix:{options.socket_path}")
        except RuntimeError as error:
            raise OSError(str(error)) from None
        await self._server.start()
        return port

    async def close(self, grace_s: float) -> None:
        """Takes no new calls and ends when those under way are answered, or after the grace."""
        await self._server.stop(grace_s)

    def _listen(self, address: str) -> int:
        tls = self._options.tls
        if tls is None:
            return self._server.add_insecure_port(address)
        authority = tls.client_authority.encode() or None
        return self._server.add_secure_port(
            address,
            grpc.ssl_server_credentials(
                [(tls.key.encode(), tls.certificate.encode())], authority, tls.verify_clients
            ),
        )


class _Doorkeeper(grpc.aio.ServerInterceptor):
    """Checks a call's metadata before any of its messages is read."""

    def __init__(self, guard: Guard, refused: Refused) -> None:
        self._guard = guard
        self._refused = refused

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Returns what serves a call, or what ends it: a stream, for which nothing is read."""
        try:
            # Where the peer is, is known once the call is: `_Call` looks again.
            authorization = _authorization(handler_call_details.invocation_metadata)
            self._guard.check(handler_call_details.method, authorization, is_local=True)
        except ServingError as error:
            return self._refusal(handler_call_details.method, error)
        return await continuation(handler_call_details)

    def _refusal(self, path: str, failure: ServingError) -> Any:
        async def fail(_: Any, context: Any) -> None:
            self._refused(path, context.peer(), failure)
            await _fail(context, failure)

        return grpc.stream_stream_rpc_method_handler(fail)


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, methods: Methods, guard: Guard, refused: Refused) -> None:
        self._handlers = {
            path: _handler(_Call(path, method, guard, refused)) for path, method in methods.items()
        }

    def service(self, handler_call_details: Any) -> Any:
        """Returns what serves a path; None for one that isn't known."""
        return self._handlers.get(handler_call_details.method)


class _Call:
    """A method as grpc.aio calls it."""

    def __init__(self, path: str, method: Method, guard: Guard, refused: Refused) -> None:
        self.method = method
        self._path = path
        self._guard = guard
        self._refused = refused

    async def unary(self, request: Any, context: Any) -> Any:
        """Answers one request."""
        assert self.method.unary is not None
        return await self._watched(self.method.unary, request, context)

    async def stream(self, requests: Any, context: Any) -> None:
        """Answers any number of requests."""
        await self._watched(self._write, requests, context)

    async def _write(self, requests: Any, context: Any) -> None:
        assert self.method.stream is not None
        responses = self.method.stream(requests, context)
        if hasattr(responses, "__aiter__"):
            async for response in responses:
                await context.write(response)
        else:
            await responses

    async def _watched(
        self, answer: Callable[[Any, Any], Awaitable[Any]], request: Any, given: Any
    ) -> Any:
        context = _Context(given)
        try:
            self._check(context)
            return await answer(request, context)
        except ServingError as error:
            failure = error
        except (grpc.aio.AbortError, grpc.aio.BaseError):
            raise
        except Exception:
            logger.exception("%s failed", self._path)
            await given.abort(grpc.StatusCode.INTERNAL, "Internal error of the server")
        await _fail(given, failure)

    def _check(self, context: _Context) -> None:
        try:
            authorization = _authorization(context.invocation_metadata())
            names = [key for key, _ in context.invocation_metadata() or ()]
            is_local = context.is_local and not is_forwarded(names)
            self._guard.check(self._path, authorization, is_local=is_local)
        except ServingError as error:
            self._refused(self._path, context.peer(), error)
            raise


def _handler(call: _Call) -> Any:
    method = call.method
    if method.unary is not None:
        return grpc.unary_unary_rpc_method_handler(call.unary, method.parse, method.serialize)
    return grpc.stream_stream_rpc_method_handler(call.stream, method.parse, method.serialize)


class _Context:
    """grpc.aio's context, and what ours has more; see `method.Context`."""

    def __init__(self, context: Any) -> None:
        self._context = context
        left = context.time_remaining()
        self.deadline = None if left is None else asyncio.get_running_loop().time() + left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    @property
    def is_local(self) -> bool:
        """Whether the client is on this machine."""
        kind, _, address = self._context.peer().partition(":")
        if kind == "unix":
            return True
        host = urllib.parse.unquote(address).rpartition(":")[0].strip("[]")
        return sockets.is_local((host,))


async def _fail(context: Any, failure: ServingError) -> None:
    await context.abort(_STATUS[failure.code], failure.message[:_MAX_DETAILS])


def _authorization(metadata: Any) -> str:
    found = [value for key, value in metadata or () if key == "authorization"]
    return found[0] if len(found) == 1 else ""
