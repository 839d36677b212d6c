"""Calls of any number of requests and responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from server.errors import Code, ServingError
from server.protocol.grpc import message
from server.protocol.grpc.call import GrpcCall
from server.protocol.http2.frames import ErrorCode

# What such a call may leave unread on our side, and a client on its own.
_MAX_WAITING_BYTES = 16 * 2**20


class StreamingCall(GrpcCall):
    """A call of any number of requests and responses."""

    __slots__ = ("_messages", "_requests", "_waiting", "_written")

    def __init__(self, *arguments: Any) -> None:
        GrpcCall.__init__(self, *arguments)
        self._messages = message.Messages(self._route.limit)
        self._requests: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._waiting = 0
        self._written = 0
        self._stream.may_idle = True
        self._start(self._run())

    def data(self, chunk: bytes) -> None:
        """Hands on the messages that are complete."""
        try:
            self._take(len(chunk))
            for complete in self._messages.feed(chunk):
                self._waiting += message.PREFIX_BYTES + len(complete[1])
                self._requests.put_nowait(complete)
            if self._waiting > max(_MAX_WAITING_BYTES, self._route.limit):
                raise ServingError(Code.RESOURCE_EXHAUSTED, "too many requests wait")
        except ServingError as error:
            self._stop(error)

    def end(self) -> None:
        """Ends the iteration over the requests."""
        if not self._messages.is_empty:
            self._stop(ServingError(Code.INTERNAL, "the last message is cut off"))
        self._requests.put_nowait(None)

    def drain(self) -> None:
        """Ends: such a call may stay open for as long as its client likes."""
        self._stop(ServingError(Code.UNAVAILABLE, "the server is shutting down"))

    async def write(self, message: Any) -> None:
        """Sends a response."""
        self._write(message)

    def _stop(self, error: ServingError) -> None:
        self.fail(error)
        self._stop_method()

    async def _run(self) -> None:
        method = self._route.method
        assert method.stream is not None
        try:
            responses = method.stream(self._iterate(), self)
            if hasattr(responses, "__aiter__"):
                async for response in responses:
                    self._write(response)
            else:
                await responses
            code, text = self._set_status()
        except ServingError as error:
            self.fail(error)
            return
        except Exception:
            self.fail(self._unexpected())
            return
        if not self.has_ended:
            self._finish(code, text)

    def _write(self, response: Any) -> None:
        stream = self._stream
        if not stream.is_open:
            return
        if not self._has_head:
            self._send_head()
        framed = message.framed(self._route.method.serialize(response))
        self._written += len(framed)
        self._connection.sender.data(stream, framed)
        if self._written - stream.sent > _MAX_WAITING_BYTES + len(framed):
            self._connection.cancel(stream, ErrorCode.ENHANCE_YOUR_CALM)

    async def _iterate(self) -> AsyncIterator[Any]:
        while (found := await self._requests.get()) is not None:
            flag, body = found
            size = message.PREFIX_BYTES + len(body)
            if flag:
                message.check_flag(flag, self._route.encoding)
                before = self._held
                body = await self._inflated(body)
                size += self._held - before
            self._waiting -= message.PREFIX_BYTES + len(found[1])
            request = await self._parsed(body)
            self._give(size)
            yield request
