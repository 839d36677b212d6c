"""Calls: from a request's headers to the status, whatever kind of method serves them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from server.errors import Code, ServingError
from server.protocol.grpc import message, metadata, status
from server.protocol.grpc.context import CallContext
from server.protocol.grpc.route import Route
from server.protocol.http2.connection import Http2Connection
from server.protocol.http2.head import Head
from server.protocol.http2.stream import Stream

logger = logging.getLogger(__name__)

_AT_ONCE = 64 * 1024  # bytes of a message that are parsed on the event loop
_OK = status.trailers(Code.OK)


class GrpcCall(CallContext):
    """One call. Subclasses take the body and run the method."""

    __slots__ = ("_held", "_loop", "_route", "_task", "_timer")

    def __init__(
        self,
        connection: Http2Connection,
        stream: Stream,
        head: Head,
        route: Route,
        deadline: float | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._head = head
        self._rare = None
        self._trailing = ()
        self._has_head = False
        self.deadline = deadline
        self.has_ended = False
        self.is_cancelled = False
        self._route = route
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._held = 0  # bytes of the connection's budget
        if deadline is not None:
            self._timer = loop.call_at(deadline, self._expire)

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the call's metadata, names in lower case."""
        return self._route.metadata(self._head.fields)

    def reset(self) -> None:
        """Cancels the call: its client is gone or doesn't want it any more."""
        self.is_cancelled = not self.has_ended
        self._done()
        self._stop_method()

    def drain(self) -> None:
        """Goes on: the connection waits for the answer."""

    def fail(self, error: ServingError) -> None:
        """Ends the call with an error."""
        if self.has_ended:
            return
        self._connection.sender.abandon(self._stream)
        self._finish(error.code, error.message)

    def _finish(self, code: Code, text: str) -> None:
        """Ends the call with a status."""
        try:
            block = status.trailers(code, text, self._trailing)
        except ValueError as error:  # the method's metadata
            logger.error("%s: %s", self._route.path, error)
            block = status.trailers(Code.INTERNAL, "Internal error of the server")
        self._done()
        if self._stream.is_open:
            if not self._has_head:
                block = status.HEAD + block
            self._connection.sender.trailers(self._stream, block)

    def _done(self) -> None:
        """Lets go of what the call holds; nobody is told anything of it any more."""
        self._release()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.has_ended:
            self.has_ended = True
            if self._rare is not None:
                for callback in self._rare.callbacks:
                    self._loop.call_soon(callback, self)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._loop.create_task(work)

    def _stop_method(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _expire(self) -> None:
        self.fail(ServingError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        self._stop_method()

    def _send_head(self, block: bytes = b"") -> None:
        if self._stream.is_open:
            self._has_head = True
            self._connection.sender.head(self._stream, status.HEAD + block)

    def _take(self, size: int) -> None:
        """Takes note of bytes that the call keeps.

        Raises:
            ServingError: RESOURCE_EXHAUSTED.
        """
        self._connection.share.take(size)
        self._held += size

    def _release(self) -> None:
        """Gives back all that the call keeps."""
        if self._held:
            self._connection.share.give(self._held)
            self._held = 0

    def _give(self, size: int) -> None:
        size = min(size, self._held)  # nothing is held any more after the end
        self._connection.share.give(size)
        self._held -= size

    async def _parsed(self, body: bytes) -> Any:
        method = self._route.method
        try:
            if len(body) > _AT_ONCE:
                # protobuf keeps Python's lock while it parses, and the event loop waiting.
                if method.view is not None and (found := method.view(body)) is not None:
                    return found
                if method.parse_long is not None:
                    return await asyncio.to_thread(method.parse_long, body)
            return method.parse(body)
        except Exception:
            raise _unreadable() from None

    async def _inflated(self, body: bytes) -> bytes:
        return await message.inflate(body, self._route.encoding, self._route.limit, self._take)

    def _set_status(self) -> tuple[Code, str]:
        """Returns what the method has set for its end."""
        rare = self._rare
        if rare is None:
            return Code.OK, ""
        return (Code(rare.code.value[0]) if rare.code is not None else Code.OK), rare.details

    def _unexpected(self) -> ServingError:
        logger.exception("%s failed", self._route.path)
        return ServingError(Code.INTERNAL, "Internal error of the server")


class UnaryCall(GrpcCall):
    """A call of one request and one response."""

    __slots__ = ("_chunks", "_size")

    def __init__(
        self,
        connection: Http2Connection,
        stream: Stream,
        head: Head,
        route: Route,
        deadline: float | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        GrpcCall.__init__(self, connection, stream, head, route, deadline, loop)
        self._chunks: list[bytes] = []
        self._size = 0

    def data(self, chunk: bytes) -> None:
        """Keeps a part of the request, unless it gets too large."""
        size = len(chunk)
        self._chunks.append(chunk)
        self._size += size
        if self._size > self._route.limit + message.PREFIX_BYTES:
            size = message.announced(self._chunks, self._size)
            self._refuse(message.too_large(size, self._route.limit))
            return
        try:
            self._take(size)
        except ServingError as error:
            self._refuse(error)

    def end(self) -> None:
        """Starts the method."""
        try:
            flag, body = message.only_one(self._chunks, self._size, self._route.limit)
        except ServingError as error:
            self._refuse(error)
            return
        self._chunks.clear()
        self._start(self._run(flag, body))

    def _refuse(self, error: ServingError) -> None:
        self._chunks.clear()
        self.fail(error)

    async def _run(self, flag: int, body: bytes) -> None:
        method = self._route.method
        try:
            if flag:
                message.check_flag(flag, self._route.encoding)
                body = await self._inflated(body)
            if len(body) > _AT_ONCE:
                request = await self._parsed(body)
            else:  # most are: a coroutine less
                try:
                    request = method.parse(body)
                except Exception:
                    raise _unreadable() from None
            self._release()  # what is kept from here on is the method's matter
            del body
            assert method.unary is not None
            response = await method.unary(request, self)
            answer = message.framed(method.serialize(response))
            trailing = self._trailing
            end = _OK
            if self._rare is not None:
                end = status.trailers(*self._set_status(), trailing)
            elif trailing:
                end = _OK + metadata.write(trailing)
        except ServingError as error:
            self.fail(error)
            return
        except Exception:
            self.fail(self._unexpected())
            return
        self._done()
        stream = self._stream
        if not stream.is_open:
            return
        sender = self._connection.sender
        if self._has_head:  # there was initial metadata
            sender.data(stream, answer)
            sender.trailers(stream, end)
        else:
            sender.respond(stream, status.HEAD, answer, end)


def _unreadable() -> ServingError:
    # gRPC's own server: an exception of the deserializer.
    return ServingError(Code.INTERNAL, "Exception deserializing request!")
