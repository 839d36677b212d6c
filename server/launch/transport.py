"""What carries requests to the faces and answers back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

from server.api import traced
from server.api.front import Front
from server.api.grpc_services import GrpcServices
from server.errors import invalid
from server.inference.core import Core
from server.launch.settings import Settings
from server.protocol.grpc.method import Methods
from server.protocol.grpc.server import GrpcServer
from server.protocol.grpc.threads import Threads
from server.protocol.http1.messages import Handler
from server.protocol.http1.server import HttpServer
from server.protocol.limits import Usage


@dataclass(frozen=True)
class Ports:
    """Where a transport listens; None: it doesn't."""

    grpc: int | None
    rest: int | None


class Transport(Protocol):
    """HTTP and gRPC on their ports."""

    async def start(self) -> Ports:
        """Listens.

        Raises:
            OSError: an address can't be had.
        """

    async def close(self, grace_s: float) -> None:
        """Takes no new requests and ends when those under way are answered, or after the grace."""


def create(name: str, core: Core, settings: Settings) -> Transport:
    """Returns a transport.

    Args:
        name: `own`: `server.protocol`; `library`: uvicorn and grpc.aio.
        core: What the faces ask.
        settings: Where and how to listen.

    Raises:
        ServingError: what a library transport needs isn't installed.
    """
    usage = Usage(settings.limits)
    services = GrpcServices(core, settings.services)
    methods: Methods = services.methods
    front: Handler = Front(core, settings.front, settings.guard)
    if core.tracer is not None:
        methods, front = traced.methods(methods, core.tracer), traced.Front(front, core.tracer)
    # Outermost, so that what is refused isn't observed, as there.
    methods = Threads(settings.grpc.max_threads).bound(methods)
    servers = _library() if name == "library" else (GrpcServer, HttpServer)
    grpc, http = servers
    return _Servers(
        services,
        grpc(methods, settings.grpc, settings.guard, usage, services.log_refusal),
        http(front, settings.http, usage) if settings.http is not None else None,
    )


def _library() -> tuple[Any, Any]:
    try:
        from server.protocol.grpc.library import LibraryGrpcServer
        from server.protocol.http1.library import LibraryHttpServer
    except ModuleNotFoundError as error:
        raise invalid(
            f"--transport=library needs {error.name}: pip install 'jax-serving-stack[library]'"
        ) from None
    return LibraryGrpcServer, LibraryHttpServer


class _Servers:
    def __init__(self, services: GrpcServices, grpc: Any, http: Any) -> None:
        self._services = services
        self._grpc = grpc
        self._http = http

    async def start(self) -> Ports:
        await self._services.open()
        grpc = await self._grpc.start()
        return Ports(grpc, await self._http.start() if self._http is not None else None)

    async def close(self, grace_s: float) -> None:
        await self._services.drain()
        closing = [self._grpc.close(grace_s)]
        if self._http is not None:
            closing.append(self._http.close(grace_s))
        await asyncio.gather(*closing)
