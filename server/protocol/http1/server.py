"""Listens, keeps the connections, and ends them gently."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import ssl
from dataclasses import dataclass

from server.protocol.http1.connection import Connection
from server.protocol.http1.messages import Handler, Request, Response
from server.protocol.limits import Usage

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_SWEEP_S = 1.0
_LINGER_S = 0.5  # for requests that are on their way on idle connections when the server closes


@dataclass(frozen=True)
class HttpOptions:
    """Where to listen, and what a client may do.

    Attributes:
        port: 0 takes any free one.
        max_body_bytes: Longest request body.
        max_connections: More are closed as they come.
        request_timeout_s: From a request's first byte to its last.
        idle_timeout_s: Between requests on a connection.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    max_body_bytes: int = 128 * 2**20
    max_connections: int = 10_000
    request_timeout_s: float = 60.0
    idle_timeout_s: float = 300.0
    reuse_port: bool = False


class HttpServer:
    """An HTTP server for one handler."""

    def __init__(self, handler: Handler, options: HttpOptions, usage: Usage) -> None:
        self.options = options
        self.connections: set[Connection] = set()
        self.is_closing = False
        self.date = b""
        self._handler = handler
        self.usage = usage
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Starts listening and returns the port.

        Raises:
            OSError: the address can't be had.
        """
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self._set_date()
        self._server = await self.loop.create_server(
            lambda: Connection(self),
            self.options.host,
            self.options.port,
            ssl=self.options.tls,
            backlog=_BACKLOG,
            reuse_port=self.options.reuse_port or None,
        )
        self._sweeper = self.loop.create_task(self._sweep())
        return self._server.sockets[0].getsockname()[1]

    async def respond(self, request: Request) -> Response:
        """Returns the handler's response, whatever happens there."""
        try:
            return await self._handler(request)
        except Exception:
            logger.exception("%s %s", request.method, request.path)
            return Response(b'{ "error": "Internal error of the server" }', 500)

    async def close(self) -> None:
        """Stops listening, answers what has arrived, and ends all connections."""
        self.is_closing = True
        if self._server is not None:
            self._server.close()
        if self.connections:
            await asyncio.sleep(_LINGER_S)
        while self.connections:
            for connection in [c for c in self.connections if c.is_idle]:
                connection.expire()
            await asyncio.sleep(0.01)
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        while True:
            self._set_date()
            now = self.now()
            for connection in list(self.connections):
                if connection.deadline < now:
                    connection.expire()
            await asyncio.sleep(_SWEEP_S)

    def _set_date(self) -> None:
        self.date = f"Date: {email.utils.formatdate(usegmt=True)}\r\n\r\n".encode()
