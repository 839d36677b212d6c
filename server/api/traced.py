"""The faces with tracing: a request that is sampled is answered within its trace."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from server.protocol.http1.messages import Handler, Request, Response
from server.telemetry.tracing import Tracer

# Paths of both REST APIs; pages and probes have no traces.
_TFS = re.compile(r"(?i:/v1/models)/[^/:]+(?:/(versions|labels)/[^/:]+)?(:\w+|/metadata)?")
_V2 = re.compile(r"/v2/models/[^/]+(?:/(versions)/[^/]+)?(/\w+)?")
_APIS = ("/v1/", "/v2/")


def handler(front: Handler, tracer: Tracer) -> Handler:
    """Returns a REST handler that does what another does."""

    async def traced(request: Request) -> Response:
        if request.path[:4].lower() not in _APIS:
            return await front(request)
        trace = tracer.http(request.headers, request.method, request.path, request.peer)
        if trace is None:
            return await front(request)
        if found := route(request.path):
            trace.route(request.method, found)
        with trace:
            response = await front(request)
            trace.http_status(response.status)
            return response

    return traced


def route(path: str) -> str:
    """Returns the path with names in place of what varies; empty for one that the APIs haven't."""
    for api, base in ((_TFS, "/v1/models/{model}"), (_V2, "/v2/models/{model}")):
        if match := api.fullmatch(path):
            kind, verb = match.groups()
            return base + (f"/{kind}/{{{kind[:-1]}}}" if kind else "") + (verb or "")
    return ""


def method(
    answer: Callable[[Any, Any], Awaitable[Any]], tracer: Tracer, path: str
) -> Callable[[Any, Any], Awaitable[Any]]:
    """Returns a gRPC method that does what another does."""

    async def traced(request: Any, context: Any) -> Any:
        metadata = dict(context.invocation_metadata() or ())
        trace = tracer.grpc(metadata, path, context.peer())
        if trace is None:
            return await answer(request, context)
        with trace:
            return await answer(request, context)

    return traced
