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
from server.protocol.http2.connection import Connection
from server.protocol.tls import Tls

_BACKLOG = 1024


@dataclass(frozen=True)
class GrpcOptions:
    """Where and how to listen.

    Attributes:
        port: None listens on no port, 0 takes any free one.
        socket_path: A unix socket to listen on as well.
        arguments: gRPC channel arguments, of which `arguments` knows some.
        tls: Key and certificate; None for plain connections.
        reuse_port: Share the port with other processes.
    """

    host: str = "127.0.0.1"
    port: int | None = 0
    socket_path: str = ""
    arguments: Mapping[str, int | str] = field(default_factory=dict)
    tls: Tls | None = None
    reuse_port: bool = False


class GrpcServer:
    """Serves methods by their paths to any number of connections, on one event loop."""

    def __init__(
        self,
        methods: Methods,
        options: GrpcOptions = GrpcOptions(),
        guard: Guard | None = None,
        refused: Callable[[str, str, ServingError], None] | None = None,
    ) -> None:
        """Takes what to serve and to whom.

        Args:
            methods: By path.
            options: Where and how.
            guard: Checks each request's headers; None lets all pass.
            refused: Told the path, the peer and why of each call that the guard turned away.
        """
        self._methods = {path.encode(): method for path, method in methods.items()}
        self._options = options
        self._guard = guard or Guard()
        self._refused = refused or (lambda path, peer, error: None)
        self._limits = arguments.limits(options.arguments)
        self._max_message_bytes = arguments.max_message_bytes(options.arguments)
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
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
        is_unix = bound.family == socket.AF_UNIX
        create = loop.create_unix_server if is_unix else loop.create_server
        self._servers.append(await create(self._connect, sock=bound, ssl=tls, backlog=_BACKLOG))

    async def close(self, grace_s: float | None) -> None:
        """Takes no new calls and ends when those under way are answered, or after the grace.

        Args:
            grace_s: Seconds; None ends them at once.
        """
        self._is_draining = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.drain()
        if grace_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_s)
        for connection in list(self._connections):
            connection.close()
        await self._empty.wait()

    def _connect(self) -> Connection:
        return Connection(
            lambda connection: Router(
                connection, self._methods, self._guard, self._refused, self._max_message_bytes
            ),
            self._limits,
            self._opened,
            self._closed,
        )

    def _opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._empty.clear()
        if self._is_draining:
            connection.drain()

    def _closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
