"""From a request's headers to its call, or to why it can't be one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from server.errors import Code, ServingError
from server.protocol.grpc import message, status
from server.protocol.grpc.call import UnaryCall
from server.protocol.grpc.method import Method
from server.protocol.grpc.route import Route
from server.protocol.grpc.streaming import StreamingCall
from server.protocol.guard import Guard, is_forwarded
from server.protocol.http2.connection import Http2Connection
from server.protocol.http2.head import Head
from server.protocol.http2.stream import Receiver, Stream

_REFUSE_WITHIN_S = 0.1


class Refusal:
    """Answers what can't be a call: at the end of the request, or soon if that doesn't come.

    Not at once: some clients stumble over an answer that overtakes their request.
    """

    def __init__(
        self,
        connection: Http2Connection,
        stream: Stream,
        head: bytes,
        body: bytes,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Takes the response: a header block, and a body unless the header is all."""
        self._connection = connection
        self._stream = stream
        self._head = head
        self._body = body
        self._timer = loop.call_later(_REFUSE_WITHIN_S, self.end)

    def data(self, chunk: bytes) -> None:
        """Drops a part of the request."""

    def end(self) -> None:
        """Answers."""
        self._timer.cancel()
        if not self._stream.is_open:
            return
        sender = self._connection.sender
        if not self._body:
            sender.trailers(self._stream, self._head)
            return
        sender.head(self._stream, self._head)
        sender.data(self._stream, self._body)
        sender.trailers(self._stream, b"")

    def reset(self) -> None:
        """Lets go of the request."""
        self._timer.cancel()

    def drain(self) -> None:
        """Goes on: the answer comes soon."""


class Router:
    """Finds the method of each request on a connection, and asks whether it may be called."""

    def __init__(
        self,
        connection: Http2Connection,
        methods: Mapping[bytes, Method],
        guard: Guard,
        refused: Callable[[str, str, ServingError], None],
    ) -> None:
        self._connection = connection
        self._methods = methods
        self._guard = guard
        self._refused = refused
        self._loop = asyncio.get_running_loop()

    def request(self, stream: Stream, head: Head) -> Receiver:
        """Returns the call, or what answers in its place."""
        route: Route | None = head.note
        if route is None:
            try:
                found = self._route(head)
            except ServingError as error:
                return self._refusal(stream, status.only(error.code, error.message))
            if isinstance(found, int):
                return self._refusal(stream, *status.not_grpc(found))
            head.note = route = found
        timeout_s = route.timeout_s
        deadline = None if timeout_s is None else self._loop.time() + timeout_s
        return route.kind(self._connection, stream, head, route, deadline, self._loop)

    def _refusal(self, stream: Stream, head: bytes, body: bytes = b"") -> Refusal:
        return Refusal(self._connection, stream, head, body, self._loop)

    def _route(self, head: Head) -> Route | int:
        """Returns the route, or the HTTP status for what isn't gRPC.

        Raises:
            ServingError: the status of the call that can't be.
        """
        limits = self._connection.limits
        if head.size > limits.header_bytes:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"received metadata size exceeds hard limit ({head.size} vs. "
                f"{limits.header_bytes})",
            )
        if len(head.fields) > limits.header_count:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{len(head.fields)} headers; {limits.header_count} are the most",
            )
        if head.method != b"POST":
            return 405
        if not head.get(b"content-type").startswith(b"application/grpc"):
            return 415
        path = head.path.decode("latin-1")
        try:
            authorization = head.get(b"authorization").decode("latin-1")
            names = [name.decode("latin-1") for name, _ in head.fields]
            is_local = self._connection.is_local and not is_forwarded(names)
            self._guard.check(path, authorization, is_local=is_local)
        except ServingError as error:
            self._refused(path, self._connection.peer, error)
            raise
        method = self._methods.get(head.path)
        if method is None:
            raise ServingError(Code.UNIMPLEMENTED, "Method not found!")
        given = head.get(b"grpc-timeout")
        return Route(
            path,
            method,
            StreamingCall if method.unary is None else UnaryCall,
            self._connection.limits.message_bytes,
            message.timeout(given) if given else None,
            head.get(b"grpc-encoding"),
        )
