"""What carries requests to the faces and answers back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from server.api.front import Front
from server.api.grpc_services import GrpcServer
from server.inference.core import Core
from server.launch.settings import Settings
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


def own(core: Core, settings: Settings) -> Transport:
    """Returns the transport that `server.protocol` is."""
    usage = Usage(settings.limits)
    front = Front(core, settings.front, settings.guard)
    return _Own(
        GrpcServer(core, settings.grpc, settings.guard, usage),
        HttpServer(front, settings.http, usage) if settings.http is not None else None,
    )


class _Own:
    def __init__(self, grpc: GrpcServer, http: HttpServer | None) -> None:
        self._grpc = grpc
        self._http = http

    async def start(self) -> Ports:
        grpc = await self._grpc.start()
        return Ports(grpc, await self._http.start() if self._http is not None else None)

    async def close(self, grace_s: float) -> None:
        closing = [self._grpc.close(grace_s)]
        if self._http is not None:
            closing.append(self._http.close(grace_s))
        await asyncio.gather(*closing)
