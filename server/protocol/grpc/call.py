"""Calls: a request's messages to a method, its answer and status to the response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

from server.errors import Code, ServingError
from server.protocol.grpc import message, status
from server.protocol.grpc.method import Metadata, Method
from server.protocol.http2.connection import Connection
from server.protocol.http2.frames import ErrorCode
from server.protocol.http2.header_block import Headers, encode
from server.protocol.http2.stream import Stream

logger = logging.getLogger(__name__)

_HEAD = encode(status.HEAD)
_OK = status.trailers(Code.OK)
# What a streaming call may leave unread on our side, and a client on its own.
_MAX_WAITING_BYTES = 16 * 2**20


class Context:
    """The context of a call on our own HTTP/2; see `method.Context`."""

    __slots__ = (
        "_callbacks", "_code", "_connection", "_details", "_end", "_headers", "_initial", "_write",
        "deadline", "trailing",
    )  # fmt: skip

    def __init__(self, connection: Connection, headers: Headers, deadline: float | None) -> None:
        self._connection = connection
        self._headers = headers
        self._write: Callable[[Any], None] | None = None
        self._initial: Callable[[Metadata], None] | None = None
        self._code: Any = None
        self._details = ""
        self._end: bool | None = None
        self._callbacks: list[Callable[[Any], None]] = []
        self.deadline = deadline
        self.trailing: tuple[tuple[str, str | bytes], ...] = ()

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the request's headers but those of HTTP/2 itself."""
        return tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in self._headers.items()
            if not name.startswith(b":")
        )

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Sets the metadata that goes out with the status."""
        self.trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the metadata that goes out with the status."""
        return self.trailing

    def time_remaining(self) -> float | None:
        """Returns the seconds until the deadline; None without one."""
        if self.deadline is None:
            return None
        return max(self.deadline - asyncio.get_running_loop().time(), 0.0)

    def peer(self) -> str:
        """Returns the client's address as gRPC writes it."""
        return self._connection.peer

    @property
    def is_local(self) -> bool:
        """Whether the client is on this machine."""
        return self._connection.is_local

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Sends metadata ahead of the first response."""
        raise NotImplementedError

    def set_code(self, code: Any) -> None:
        """Sets the status' `grpc.StatusCode`."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Sets the status' text."""
        self._details = details

    def code(self) -> Any:
        """Returns the `grpc.StatusCode` that was set, or None."""
        return self._code

    def details(self) -> str:
        """Returns the text that was set."""
        return self._details

    def cancelled(self) -> bool:
        """Tells whether nobody waits for an answer any more."""
        return self._end is False

    def done(self) -> bool:
        """Tells whether the call has ended."""
        return self._end is not None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Has a function called with this context when the call has ended."""
        self._callbacks.append(callback)

    async def write(self, message: Any) -> None:
        """Sends a response of a streaming method."""
        assert self._write is not None, "a unary method returns its response"
        self._write(message)

    async def abort(
        self, code: Any, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        """Ends the call with a `grpc.StatusCode`.

        Raises:
            ServingError: always.
        """
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)
        raise ServingError(Code(code.value[0]), details)


class Call:
    """One call, from its headers to its status. Subclasses take the body."""

    __slots__ = (
        "_connection", "_context", "_encoding", "_limit", "_loop", "_method", "_path", "_stream",
        "_task", "_timer",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        stream: Stream,
        method: Method,
        headers: Headers,
        deadline: float | None,
        limit: int,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._method = method
        self._encoding = headers.get(b"grpc-encoding", b"")
        self._path = headers.get(b":path", b"").decode("latin-1")
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._context = Context(connection, headers, deadline)
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def reset(self) -> None:
        """Cancels the call: its client is gone or doesn't want it any more."""
        self._done()
        if self._task is not None:
            self._task.cancel()

    def _start(self, work: Any) -> None:
        self._task = self._loop.create_task(work)
        if self._context.deadline is not None:
            self._timer = self._loop.call_at(self._context.deadline, self._expire)

    def _expire(self) -> None:
        self.fail(ServingError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        if self._task is not None:
            self._task.cancel()

    def _done(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def fail(self, error: ServingError, *, has_head: bool = False) -> None:
        """Ends the call with an error."""
        self._done()
        if self._stream.is_open:
            block = status.trailers if has_head else status.only
            self._stream.waiting.clear()
            self._connection.sender.trailers(
                self._stream, block(error.code, error.message, self._context.trailing)
            )

    def _unexpected(self) -> ServingError:
        logger.exception("%s failed", self._path)
        return ServingError(Code.INTERNAL, "Internal error of the server")


class UnaryCall(Call):
    """A call of one request and one response."""

    __slots__ = ("_chunks", "_size")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._chunks: list[bytes] = []
        self._size = 0

    def data(self, chunk: bytes) -> None:
        """Keeps a part of the request, unless it gets too large."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > self._limit + message.PREFIX_BYTES:
            self._chunks.clear()
            self.fail(message.too_large(self._size - message.PREFIX_BYTES, self._limit))

    def end(self) -> None:
        """Starts the method."""
        try:
            body = message.only_one(self._chunks, self._encoding, self._limit)
        except ServingError as error:
            self.fail(error)
            return
        self._chunks.clear()
        self._start(self._run(body))

    async def _run(self, body: bytes) -> None:
        method = self._method
        try:
            request = self._parsed(body)
            assert method.unary is not None
            response = await method.unary(request, self._context)
            answer = message.framed(method.serialize(response))
        except ServingError as error:
            self.fail(error)
            return
        except Exception:
            self.fail(self._unexpected())
            return
        self._done()
        if self._stream.is_open:
            trailing = self._context.trailing
            ok = _OK + encode(trailing) if trailing else _OK
            self._connection.sender.respond(self._stream, _HEAD, answer, ok)

    def _parsed(self, body: bytes) -> Any:
        try:
            return self._method.parse(body)
        except Exception:
            # gRPC's own server: an exception of the deserializer.
            raise ServingError(Code.INTERNAL, "Exception deserializing request!") from None


class StreamingCall(Call):
    """A call of any number of requests and responses."""

    __slots__ = ("_has_head", "_messages", "_requests", "_waiting")

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._messages = message.Messages(self._encoding, self._limit)
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waiting = 0
        self._has_head = False
        self._stream.may_idle = True
        self._start(self._run())

    def data(self, chunk: bytes) -> None:
        """Hands on the messages that are complete."""
        try:
            for complete in self._messages.feed(chunk):
                self._waiting += len(complete)
                self._requests.put_nowait(complete)
        except ServingError as error:
            self._stop(error)
        if self._waiting > _MAX_WAITING_BYTES:
            self._stop(ServingError(Code.RESOURCE_EXHAUSTED, "too many requests wait"))

    def end(self) -> None:
        """Ends the iteration over the requests."""
        if not self._messages.is_empty:
            self._stop(ServingError(Code.INTERNAL, "the last message is cut off"))
        self._requests.put_nowait(None)

    def _stop(self, error: ServingError) -> None:
        self.fail(error, has_head=self._has_head)
        if self._task is not None:
            self._task.cancel()

    def _expire(self) -> None:
        self._stop(ServingError(Code.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    async def _run(self) -> None:
        method = self._method
        assert method.stream is not None
        self._context._write = self._write
        try:
            responses = method.stream(self._iterate(), self._context)
            if hasattr(responses, "__aiter__"):
                async for response in responses:
                    self._write(response)
            else:
                await responses
        except ServingError as error:
            self.fail(error, has_head=self._has_head)
            return
        except Exception:
            self.fail(self._unexpected(), has_head=self._has_head)
            return
        self._done()
        if self._stream.is_open:
            end = status.trailers(Code.OK, "", self._context.trailing)
            block = end if self._has_head else _HEAD + end
            self._connection.sender.trailers(self._stream, block)

    def _write(self, response: Any) -> None:
        stream, sender = self._stream, self._connection.sender
        if not stream.is_open:
            return
        if not self._has_head:
            self._has_head = True
            sender.head(stream, _HEAD)
        sender.data(stream, message.framed(self._method.serialize(response)))
        if sum(map(len, stream.waiting)) > _MAX_WAITING_BYTES:
            self._connection.reset(stream, ErrorCode.ENHANCE_YOUR_CALM)
            self.reset()

    async def _iterate(self) -> AsyncIterator[Any]:
        while (request := await self._requests.get()) is not None:
            self._waiting -= len(request)
            yield self._method.parse(request)
