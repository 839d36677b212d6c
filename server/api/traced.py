"""The faces with tracing: a request that is sampled is answered within its trace."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from server.errors import Code, ServingError
from server.protocol.grpc.method import Context, Methods
from server.protocol.http1.messages import Handler, Request, Response
from server.telemetry.tracing import Tracer

# Paths of both REST APIs; pages and probes have no traces.
_TFS = re.compile(r"(?i:/v1/models)/[^/:]+(?:/(versions|labels)/[^/:]+)?(:\w+|/metadata)?")
_V2 = re.compile(r"/v2/models/[^/]+(?:/(versions)/[^/]+)?(/\w+)?")
_APIS = ("/v1/", "/v2/")

Unary = Callable[[Any, Context], Awaitable[Any]]


class Front:
    """A REST handler that does what another does."""

    def __init__(self, front: Handler, tracer: Tracer) -> None:
        self._front = front
        self._tracer = tracer

    def admit(self, request: Request) -> Response | None:
        """As the other's: whoever isn't let in gets no trace."""
        return self._front.admit(request)

    def refused(self, request: Request, response: Response) -> None:
        """As the other's."""
        self._front.refused(request, response)

    async def __call__(self, request: Request) -> Response:
        """As the other's."""
        if request.path[:4].lower() not in _APIS:
            return await self._front(request)
        trace = self._tracer.http(request.headers, request.method, request.path, request.peer)
        if trace is None:
            return await self._front(request)
        if found := route(request.path):
            trace.route(request.method, found)
        with trace:
            response = await self._front(request)
            trace.http_status(response.status)
            return response


def route(path: str) -> str:
    """Returns the path with names in place of what varies; empty for one that the APIs haven't."""
    for api, base in ((_TFS, "/v1/models/{model}"), (_V2, "/v2/models/{model}")):
        if match := api.fullmatch(path):
            kind, verb = match.groups()
            return base + (f"/{kind}/{{{kind[:-1]}}}" if kind else "") + (verb or "")
    return ""


def methods(services: Methods, tracer: Tracer) -> Methods:
    """Returns gRPC's methods, of which those of the APIs are traced."""
    return {
        path: replace(method, unary=_method(method.unary, tracer, path))
        if method.unary is not None and not path.startswith("/grpc.")
        else method
        for path, method in services.items()
    }


def _method(answer: Unary, tracer: Tracer, path: str) -> Unary:
    async def traced(request: Any, context: Context) -> Any:
        trace = tracer.grpc(context.invocation_metadata(), path, context.peer())
        if trace is None:
            return await answer(request, context)
        with trace:
            code = Code.INTERNAL
            try:
                response = await answer(request, context)
                code = Code.OK
            except ServingError as error:
                code = error.code
                raise
            except asyncio.CancelledError:
                code = Code.CANCELLED
                raise
            finally:
                trace.grpc_status(code)
            return response

    return traced
