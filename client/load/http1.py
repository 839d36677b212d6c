"""REST calls over one keep-alive connection, with as little Python a request as can be."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import cast

import httptools

from client.codec import HttpBody
from client.endpoint import Endpoint
from client.errors import http_code
from client.load.caller import BROKEN, EXPIRED, Answer, open_connection, tls


def request(endpoint: Endpoint, path: str, body: HttpBody) -> bytes:
    """Returns a whole POST request."""
    lines = [
        f"POST {endpoint.prefix}{path} HTTP/1.1",
        f"Host: {endpoint.authority}",
        f"Content-Length: {len(body.content)}",
    ]
    lines += [f"{name}: {value}" for name, value in (*body.headers.items(), *endpoint.all_headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body.content


class Http1(asyncio.Protocol):
    """A connection that carries one request at a time and opens again when it was closed."""

    # HTTP/1.1 has no such things; a closed connection is simply opened again.
    sent_away = queued = 0

    def __init__(self, endpoint: Endpoint, *, keep_bodies: bool, timeout: float):
        self._endpoint = endpoint
        self._tls = tls(endpoint, "http/1.1")
        self._keep_bodies = keep_bodies
        self._timeout = timeout
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ready.set_result(True)  # as soon as it is connected
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._sent = 0.0
        self._chunks: list[bytes] = []

    async def call(self, request: bytes) -> Answer:
        """Sends a whole HTTP request."""
        loop = asyncio.get_running_loop()
        self._sent = perf_counter()
        if self._transport is None or self._transport.is_closing():
            failure = await open_connection(self, self._endpoint, self._tls, self._timeout)
            if failure is not None:
                return failure
            if self._transport is None:  # lost again already
                return Answer(BROKEN)
        self._waiting = loop.create_future()
        self._transport.write(request)
        return await self._waiting

    def expire(self, before: float) -> None:
        """Gives up the request in flight, and with it the connection."""
        if self._waiting is not None and self._sent < before:
            self._finish(Answer(EXPIRED))
            self.close()

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)  # TCP's is one
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._finish(Answer("INTERNAL"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        self._finish(Answer(BROKEN))

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._chunks = []

    def on_body(self, chunk: bytes) -> None:
        """Called by the parser."""
        if self._keep_bodies:
            self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        parser, transport = self._parser, self._transport
        assert parser is not None
        if not parser.should_keep_alive() and transport is not None:
            transport.close()
        self._finish(Answer(http_code(parser.get_status_code()), b"".join(self._chunks)))

    def _finish(self, answer: Answer) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
