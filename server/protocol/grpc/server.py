"""The gRPC server: its ports, its connections, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from server.errors import ServingError
from server.protocol import sockets
from server.protocol.grpc import arguments
from server.protocol.grpc.method import Methods
from server.protocol.grpc.router import Router
from server.protocol.guard import Guard
from server.protocol.http2.connection import Http2Connection
from server.protocol.limits import Usage
from server.protocol.tls import Tls

_BACKLOG = 1024
_ACCEPT_S = 0.02
_LINGER_S = 1.0  # for what was written to connections that are ended
_LOOK_S = 1.0
_LOOK_AT = 200  # connections at a time, for a millisecond or so
_SHORTEST_LOOK_S = 0.02


@dataclass(frozen=True)
class GrpcOptions:
    """Where and how to listen.

    Attributes:
        port: None listens on no port, 0 takes any free one.
        socket_path: A unix socket to listen on as well.
        arguments: gRPC channel arguments, of which `arguments` knows some.
        tls: Key and certificate; None for plain connections.
        reuse_port: Share the port with other processes.
        max_threads: What `threads.Threads` counts; 0: no limit.
    """

    host: str = "127.0.0.1"
    port: int | None = 0
    socket_path: str = ""
    arguments: Mapping[str, int | str] = field(default_factory=dict)
    tls: Tls | None = None
    reuse_port: bool = False
    max_threads: int = 0


class GrpcServer:
    """Serves methods by their paths to any number of connections, on one event loop."""

    def __init__(
        self,
        methods: Methods,
        options: GrpcOptions = GrpcOptions(),
        guard: Guard | None = None,
        usage: Usage | None = None,
        refused: Callable[[str, str, ServingError], None] | None = None,
    ) -> None:
        """Takes what to serve and to whom.

        Args:
            methods: By path.
            options: Where and how.
            guard: Checks each request's headers; None lets all pass.
            usage: The process' budget, and its limits, of which the options' arguments may set
                some for this server; None for one of its own.
            refused: Told the path, the peer and why of each call that the guard turned away.
        """
        self._methods = {path.encode(): method for path, method in methods.items()}
        self._options = options
        self._guard = guard or Guard()
        self._refused = refused or (lambda path, peer, error: None)
        self._usage = usage or Usage()
        self._limits = arguments.limits(options.arguments, self._usage.limits)
        self._http2 = arguments.http2(options.arguments)
        self._look: asyncio.TimerHandle | None = None
        self._unseen: list[Http2Connection] = []
        self._servers: list[asyncio.Server] = []
        self._connections: set[Http2Connection] = set()
        self._is_draining = False
        self._empty = asyncio.Event()
        self._empty.set()

    async def start(self) -> int | None:
        """Starts listening and returns the port.

        Raises:
            OSError: an address can't be had.
            ServingError: key or certificate aren't usable.
        """
        options, port = self._options, None
        if options.port is not None:
            bound = sockets.listen_tcp(options.host, options.port, reuse_port=options.reuse_port)
            port = bound.getsockname()[1]
            await self.listen(bound)
        if options.socket_path:
            await self.listen(sockets.bind_unix(options.socket_path))
        return port

    async def listen(self, bound: socket.socket) -> None:
        """Serves a bound socket, TCP or unix.

        Raises:
            OSError: it can't be listened on.
        """
        loop = asyncio.get_running_loop()
        tls = None
        if self._options.tls is not None:
            tls = self._options.tls.context()
            tls.set_alpn_protocols(["h2"])
        if self._look is None:
            self._look_at_connections(loop)
        is_unix = bound.family == socket.AF_UNIX
        create = loop.create_unix_server if is_unix else loop.create_server
        self._servers.append(await create(self._connect, sock=bound, ssl=tls, backlog=_BACKLOG))

    async def close(self, grace_s: float | None) -> None:
        """Takes no new calls and ends when those under way are answered, or after the grace.

        Args:
            grace_s: Seconds; None ends them at once.
        """
        self._is_draining = True
        # Connections that the kernel has accepted, and we haven't, would be lost with the socket.
        await asyncio.sleep(_ACCEPT_S)
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.drain()
        if grace_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_s)
        for connection in list(self._connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), _LINGER_S)
        for connection in list(self._connections):
            connection.abort("what was left isn't read")
        await self._empty.wait()
        if self._look is not None:
            self._look.cancel()

    def _connect(self) -> Http2Connection:
        return Http2Connection(
            lambda connection: Router(connection, self._methods, self._guard, self._refused),
            self._http2,
            self._limits,
            self._usage,
            self._opened,
            self._closed,
        )

    def _look_at_connections(self, loop: asyncio.AbstractEventLoop) -> None:
        """Lets each connection see what takes too long, about once a second, a few at a time."""
        if not self._unseen:
            self._unseen = list(self._connections)
        now = loop.time()
        for connection in self._unseen[-_LOOK_AT:]:
            if connection in self._connections:
                connection.look(now)
        share = _LOOK_AT / max(len(self._unseen), len(self._connections), _LOOK_AT)
        del self._unseen[-_LOOK_AT:]
        limits, http2 = self._limits, self._http2
        shortest = min(
            limits.headers_s, limits.body_s, limits.idle_s, limits.write_s,
            http2.keepalive_s, http2.keepalive_timeout_s,
        )  # fmt: skip
        interval_s = max(min(shortest / 4, _LOOK_S), _SHORTEST_LOOK_S)
        self._look = loop.call_later(interval_s * share, self._look_at_connections, loop)

    def _opened(self, connection: Http2Connection) -> None:
        self._connections.add(connection)
        self._empty.clear()
        if self._is_draining:
            connection.drain()

    def _closed(self, connection: Http2Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
