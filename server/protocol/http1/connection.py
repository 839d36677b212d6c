"""One HTTP/1.1 connection: keep-alive, pipelining, limits."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import httptools

from server.protocol import sockets
from server.protocol.http1.messages import Request, Response

if TYPE_CHECKING:
    from server.protocol.http1.server import HttpServer

logger = logging.getLogger(__name__)

_MAX_HEADER_BYTES = 64 * 1024
_MAX_PIPELINED = 32
_BAD_REQUEST = Response(b'{ "error": "Malformed HTTP request" }', 400)
_TOO_LARGE = Response(b'{ "error": "Request body is too large" }', 413)
_HEADERS_TOO_LARGE = Response(b'{ "error": "Request headers are too large" }', 431)
_TIMEOUT = Response(b'{ "error": "Request did not arrive in time" }', 408)


class Connection(asyncio.Protocol):
    """Parses requests as they arrive and answers them one after the other.

    A request that breaks the protocol or a limit is answered once all before it are, and ends
    the connection.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._is_local = False
        self._queue: deque[tuple[Request, bool] | Response] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_broken = False
        self._is_at_end = False
        self.deadline = 0.0
        self._start_message()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being received or answered."""
        return self._task is None and not self._in_message

    # The transport's side.

    def connection_made(self, transport: Any) -> None:
        """Registers the connection, or closes it where there are too many."""
        if len(self._server.connections) >= self._server.options.max_connections:
            transport.abort()
            return
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._is_local = sockets.is_local(peer)
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and len(peer) > 1 else ""
        self._server.connections.add(self)
        self.deadline = self._server.now() + self._server.options.idle_timeout_s

    def connection_lost(self, error: Exception | None) -> None:
        """Cancels what was under way: nobody waits for it."""
        self._server.connections.discard(self)
        self._transport = None
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Feeds the parser."""
        if self._is_broken:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._is_broken = True  # answered in HTTP/1.1 and closed: nothing can be upgraded to
        except httptools.HttpParserError:
            if not self._is_broken:
                self._refuse(_BAD_REQUEST)

    def eof_received(self) -> bool:
        """Keeps the connection for answers that are under way: only the client's half is closed."""
        self._is_at_end = True
        return self._task is not None

    def pause_writing(self) -> None:
        """Stops answering until the client reads."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Goes on answering."""
        self._writable.set()

    # The parser's side.

    def on_message_begin(self) -> None:
        """Starts a request and its deadline."""
        self._start_message()
        self._in_message = True
        self.deadline = self._server.now() + self._server.options.request_timeout_s

    def on_url(self, url: bytes) -> None:
        """Collects the request target."""
        self._url += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self._count_header(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Refuses a body that is announced as too long; tells clients that wait to go on."""
        length = self._headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._server.options.max_body_bytes:
            self._break(_TOO_LARGE)
        elif self._headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """Collects the body, up to the limit."""
        self._body_bytes += len(data)
        if self._body_bytes > self._server.options.max_body_bytes:
            self._break(_TOO_LARGE)
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        """Queues the request to be answered."""
        path, _, query = self._url.decode("latin-1").partition("?")
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, path, query, self._headers, body, self._peer, self._is_local)
        self._in_message = False
        keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._enqueue((request, keep_alive))

    # Answering.

    def expire(self) -> None:
        """Ends a connection whose deadline has passed; one that is being answered stays."""
        if self._task is not None:
            return
        if self._in_message:
            self._refuse(_TIMEOUT)
        elif self._transport is not None:
            self._transport.close()

    def _start_message(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        self._in_message = False

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MAX_HEADER_BYTES:
            self._break(_HEADERS_TOO_LARGE)

    def _break(self, response: Response) -> None:
        """Refuses from within the parser, which an exception makes stop."""
        if not self._is_broken:
            self._refuse(response)
        raise ValueError("refused")

    def _refuse(self, response: Response) -> None:
        self._is_broken = True
        self._in_message = False
        self._chunks = []
        self._enqueue(response)

    def _enqueue(self, item: tuple[Request, bool] | Response) -> None:
        self._queue.append(item)
        if self._task is None:
            self._task = self._server.loop.create_task(self._answer())
        elif len(self._queue) == _MAX_PIPELINED and self._transport:
            self._transport.pause_reading()

    async def _answer(self) -> None:
        while self._queue and self._transport is not None:
            item = self._queue.popleft()
            if isinstance(item, Response):
                response, keep_alive, has_body = item, False, True
            else:
                request, keep_alive = item
                response = await self._server.respond(request)
                keep_alive = keep_alive and not self._server.is_closing
                has_body = request.method != "HEAD"
            if self._transport is None:
                return
            self._transport.write(
                response.encode(self._server.date, keep_alive=keep_alive, has_body=has_body)
            )
            if not keep_alive:
                self._transport.close()
                return
            if not self._writable.is_set():
                await self._writable.wait()
            if len(self._queue) == _MAX_PIPELINED - 1 and self._transport is not None:
                self._transport.resume_reading()
        self._task = None
        if self._is_at_end and self._transport is not None:
            self._transport.close()
        if not self._in_message:
            self.deadline = self._server.now() + self._server.options.idle_timeout_s
