"""Listens, keeps the connections, and ends them gently."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import ssl
from dataclasses import dataclass

from server.protocol.http1.connection import Http1Connection
from server.protocol.http1.messages import Handler, Request, Response
from server.protocol.http1.refusals import error_response
from server.protocol.http1.turns import Turns
from server.protocol.limits import MIB, Usage

logger = logging.getLogger(__name__)

_BACKLOG = 2048
_SWEEP_S = 1.0
_LINGER_S = 0.5  # for requests that are on their way on idle connections when the server closes
_PATIENCE_S = 2.0  # with peers that don't get on when the server closes
_MAX_BACKLOG_BYTES = 64 * MIB


@dataclass(frozen=True)
class HttpOptions:
    """Where to listen.

    Attributes:
        port: 0 takes any free one.
        tls: None for plain connections.
        reuse_port: Share the port with other processes.
        sweep_s: How often timeouts are looked at.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    reuse_port: bool = False
    sweep_s: float = _SWEEP_S


class HttpServer:
    """An HTTP server for one handler.

    Attributes:
        usage: The budget that it shares with other servers.
        backlog_bytes: What clients have sent after requests that aren't answered yet, unparsed.
    """

    max_backlog_bytes = _MAX_BACKLOG_BYTES

    def __init__(self, handler: Handler, options: HttpOptions, usage: Usage) -> None:
        self.handler = handler
        self.usage = usage
        self.connections: set[Http1Connection] = set()
        self.backlog_bytes = 0
        self.is_closing = False
        self.date = b""
        self._options = options
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Starts listening and returns the port.

        Raises:
            OSError: the address can't be had.
        """
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.turns = Turns()
        self._set_date()
        tls = self._options.tls
        self._server = await self.loop.create_server(
            lambda: Http1Connection(self),
            self._options.host,
            self._options.port,
            ssl=tls,
            ssl_handshake_timeout=self.usage.limits.headers_s if tls is not None else None,
            backlog=_BACKLOG,
            reuse_port=self._options.reuse_port or None,
        )
        self._sweeper = self.loop.create_task(self._sweep())
        return self._server.sockets[0].getsockname()[1]

    async def respond(self, request: Request) -> Response:
        """Returns the handler's response, whatever happens there."""
        try:
            return await self.handler(request)
        except Exception:
            logger.exception("%s %s", request.method, request.path)
            return error_response(500, "Internal error of the server")

    async def close(self, grace_s: float) -> None:
        """Stops listening, answers what has arrived, and ends all connections.

        Args:
            grace_s: After which those that are left are ended without their answers.
        """
        self.is_closing = True
        if self._server is None:  # it was never started
            return
        self._server.close()
        end = self.now() + grace_s
        if self.connections:
            await asyncio.sleep(min(_LINGER_S, grace_s))
        while self.connections and self.now() < end:
            now = self.now()
            for connection in list(self.connections):
                connection.hurry(now, _PATIENCE_S)
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.shed()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep(self) -> None:
        while True:
            self._set_date()
            now = self.now()
            for connection in list(self.connections):
                if connection.deadline < now:
                    connection.expire(now)
            await asyncio.sleep(self._options.sweep_s)

    def _set_date(self) -> None:
        self.date = f"Date: {email.utils.formatdate(usegmt=True)}\r\n\r\n".encode()
