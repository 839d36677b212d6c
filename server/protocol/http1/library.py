"""The HTTP server of `--transport=library`: uvicorn, with h11 as its parser.

h11 and not httptools, which is quicker: uvicorn takes httptools' trailer fields for headers.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http import h11_impl

from server.protocol import sockets
from server.protocol.http1.asgi import Application
from server.protocol.http1.messages import PHRASES, Handler
from server.protocol.http1.server import HttpOptions
from server.protocol.limits import Usage

_SWEEP_S = 1.0

for _status, _phrase in PHRASES.items():  # TensorFlow Serving's 499 among them
    h11_impl.STATUS_PHRASES.setdefault(_status, _phrase.encode())


class LibraryHttpServer:
    """What `HttpServer` is, by uvicorn."""

    def __init__(self, handler: Handler, options: HttpOptions, usage: Usage) -> None:
        self._options = options
        self._usage = usage
        self._connections: set[_Protocol] = set()
        self._tasks: list[asyncio.Task[None]] = []
        limits = usage.limits

        class Protocol(_Protocol):
            owner = self

        tls = options.tls
        self._config = uvicorn.Config(
            Application(handler, usage),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who the peer is decides what it may do
            timeout_keep_alive=int(limits.idle_s),
            h11_max_incomplete_event_size=limits.header_bytes,
            ssl_context_factory=(lambda config, default: tls) if tls is not None else None,
        )
        self._server = uvicorn.Server(self._config)

    @property
    def usage(self) -> Usage:
        """The budget that it shares with other servers."""
        return self._usage

    @property
    def connections(self) -> set[_Protocol]:
        """Those that are open."""
        return self._connections

    async def start(self) -> int:
        """Starts listening and returns the port.

        Raises:
            OSError: the address can't be had.
        """
        options, server = self._options, self._server
        bound = sockets.listen_tcp(options.host, options.port, reuse_port=options.reuse_port)
        self._config.load()
        server.lifespan = self._config.lifespan_class(self._config)
        await server.startup(sockets=[bound])
        self._tasks = [asyncio.create_task(server.main_loop()), asyncio.create_task(self._sweep())]
        return bound.getsockname()[1]

    async def close(self, grace_s: float) -> None:
        """Stops listening, answers what has arrived, and ends all connections."""
        self._config.timeout_graceful_shutdown = max(int(grace_s) - 1, 1)
        self._server.should_exit = True
        await self._tasks[0]
        await self._server.shutdown()
        for connection in list(self._connections):
            connection.shed()
        self._tasks[1].cancel()

    async def _sweep(self) -> None:
        while True:
            now = asyncio.get_running_loop().time()
            for connection in list(self._connections):
                connection.look(now)
            await asyncio.sleep(_SWEEP_S)


class _Protocol(h11_impl.H11Protocol):
    """uvicorn's connection, counted, and with the timeouts that uvicorn lacks."""

    owner: LibraryHttpServer

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since = self._head_since = self.loop.time()
        self._left, self._read_at = 0, self._since
        self._is_new = True
        if self.owner.usage.enter(self):
            self.owner.connections.add(self)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.usage.leave(self)
        self.owner.connections.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._waits and not self._has_begun:
            self._head_since = self.loop.time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        self._is_new = False
        super().on_response_complete()

    @property
    def waits_since(self) -> float | None:
        """See `Sheddable`."""
        return self._since if self._waits else None

    def shed(self) -> None:
        """See `Sheddable`."""
        self.transport.abort()

    def look(self, now: float) -> None:
        """Ends the connection at once where its peer neither sends nor reads in time."""
        limits = self.owner.usage.limits
        left = self.transport.get_write_buffer_size()
        if left == 0 or left <= self._left - limits.progress_bytes:
            self._left, self._read_at = left, now
        elif left > self._left:
            self._left = left
        if now - self._read_at > limits.write_s:
            self.transport.abort()
            return
        since = self._since if self._is_new else self._head_since
        if self._waits and (self._is_new or self._has_begun) and now - since > limits.headers_s:
            self.transport.abort()

    @property
    def _waits(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def _has_begun(self) -> bool:
        """Whether a part of a request's head is here."""
        return bool(self.conn.trailing_data[0])
