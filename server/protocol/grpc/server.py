"""The gRPC server: its connections, the way to a method, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable

from server.errors import Code, ServingError
from server.protocol.grpc import message, status
from server.protocol.grpc.call import Method, StreamingCall, UnaryCall
from server.protocol.http2.connection import Connection
from server.protocol.http2.header_block import Headers
from server.protocol.http2.limits import Limits
from server.protocol.http2.stream import Receiver, Stream

_BACKLOG = 1024
_REFUSE_WITHIN_S = 0.1


class _Refusal:
    """Answers what can't be a call: at the end of the request, or soon if that doesn't come.

    Not at once: some clients stumble over an answer that overtakes their request.
    """

    def __init__(self, connection: Connection, stream: Stream, block: bytes) -> None:
        self._connection = connection
        self._stream = stream
        self._block = block
        self._timer = asyncio.get_running_loop().call_later(_REFUSE_WITHIN_S, self.end)

    def data(self, chunk: bytes) -> None:
        """Drops a part of the request."""

    def end(self) -> None:
        """Answers."""
        self._timer.cancel()
        if self._stream.is_open:
            self._connection.sender.trailers(self._stream, self._block)

    def reset(self) -> None:
        """Lets go of the request."""
        self._timer.cancel()


class RpcServer:
    """Serves methods by their paths to any number of connections, on one event loop."""

    def __init__(
        self,
        find: Callable[[bytes], Method | None],
        *,
        limits: Limits = Limits(),  # noqa: B008
        max_message_bytes: int = 2**31 - 1,
    ) -> None:
        """Takes what knows the method of a path; it is asked once for each that it has."""
        self._find = find
        self._methods: dict[bytes, Method] = {}
        self._limits = limits
        self._max_message_bytes = max_message_bytes
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._is_draining = False
        self._empty = asyncio.Event()
        self._empty.set()

    async def listen(self, bound: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Serves a bound socket, TCP or unix, over TLS where a context is given.

        Raises:
            OSError: it can't be listened on.
        """
        loop = asyncio.get_running_loop()
        if tls is not None:
            tls.set_alpn_protocols(["h2"])
        if bound.family == socket.AF_UNIX:
            server = await loop.create_unix_server(
                self._connect, sock=bound, ssl=tls, backlog=_BACKLOG
            )
        else:
            server = await loop.create_server(self._connect, sock=bound, ssl=tls, backlog=_BACKLOG)
        self._servers.append(server)

    async def close(self, grace_s: float | None) -> None:
        """Takes no new calls and ends when those under way are answered, or after the grace.

        Args:
            grace_s: Seconds; None ends them at once.
        """
        self._is_draining = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.drain()
        if grace_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_s)
        for connection in list(self._connections):
            connection.close()
        await self._empty.wait()

    def _connect(self) -> Connection:
        return Connection(
            lambda connection: _Router(connection, self._method, self._max_message_bytes),
            self._limits,
            self._opened,
            self._closed,
        )

    def _method(self, path: bytes) -> Method | None:
        method = self._methods.get(path)
        if method is None and (method := self._find(path)) is not None:
            self._methods[path] = method
        return method

    def _opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._empty.clear()
        if self._is_draining:
            connection.drain()

    def _closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()


class _Router:
    """Finds the method of each request on a connection."""

    def __init__(
        self,
        connection: Connection,
        method: Callable[[bytes], Method | None],
        max_message_bytes: int,
    ) -> None:
        self._connection = connection
        self._method = method
        self._limit = max_message_bytes
        self._loop = asyncio.get_running_loop()

    def request(self, stream: Stream, headers: Headers) -> Receiver:
        """Returns the call, or answers at once what can't be one."""
        get = headers.get
        content_type = get(b"content-type", b"")
        if get(b":method") != b"POST":
            return _Refusal(self._connection, stream, status.http(405))
        if not content_type.startswith(b"application/grpc"):
            return _Refusal(self._connection, stream, status.http(415))
        method = self._method(get(b":path", b""))
        if method is None:
            return _Refusal(
                self._connection, stream, status.only(Code.UNIMPLEMENTED, "Method not found!")
            )
        deadline = None
        if (given := get(b"grpc-timeout")) is not None:
            try:
                deadline = self._loop.time() + message.timeout(given)
            except ServingError as error:
                return _Refusal(self._connection, stream, status.only(error.code, error.message))
        kind = StreamingCall if method.unary is None else UnaryCall
        return kind(self._connection, stream, method, headers, deadline, self._limit)
