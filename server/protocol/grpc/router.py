"""From a request's headers to its call, or to why it can't be one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from server.errors import Code, ServingError
from server.protocol.grpc import message, status
from server.protocol.grpc.call import StreamingCall, UnaryCall
from server.protocol.grpc.method import Method
from server.protocol.guard import Guard
from server.protocol.http2.connection import Connection
from server.protocol.http2.header_block import Headers
from server.protocol.http2.stream import Receiver, Stream

_REFUSE_WITHIN_S = 0.1


class Refusal:
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


class Router:
    """Finds the method of each request on a connection."""

    def __init__(
        self,
        connection: Connection,
        methods: Mapping[bytes, Method],
        guard: Guard,
        refused: Callable[[str, str, ServingError], None],
        max_message_bytes: int,
    ) -> None:
        self._connection = connection
        self._methods = methods
        self._guard = guard
        self._refused = refused
        self._limit = max_message_bytes
        self._loop = asyncio.get_running_loop()

    def request(self, stream: Stream, headers: Headers) -> Receiver:
        """Returns the call, or answers at once what can't be one."""
        get = headers.get
        if get(b":method") != b"POST":
            return Refusal(self._connection, stream, status.http(405))
        if not get(b"content-type", b"").startswith(b"application/grpc"):
            return Refusal(self._connection, stream, status.http(415))
        path = get(b":path", b"")
        try:
            self._check(path, get(b"authorization", b""))
            method = self._methods.get(path)
            if method is None:
                raise ServingError(Code.UNIMPLEMENTED, "Method not found!")
            deadline = None
            if (given := get(b"grpc-timeout")) is not None:
                deadline = self._loop.time() + message.timeout(given)
        except ServingError as error:
            return Refusal(self._connection, stream, status.only(error.code, error.message))
        kind = StreamingCall if method.unary is None else UnaryCall
        return kind(self._connection, stream, method, headers, deadline, self._limit)

    def _check(self, path: bytes, authorization: bytes) -> None:
        text, connection = path.decode("latin-1"), self._connection
        try:
            self._guard.check(text, authorization.decode("latin-1"), is_local=connection.is_local)
        except ServingError as error:
            self._refused(text, connection.peer, error)
            raise
