"""What a REST client meets first: who may ask, where it goes, what is noted of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from server.api.pages.pages import Pages
from server.api.tfs_rest import rendering
from server.api.tfs_rest.api import RestApi
from server.api.v2.api import V2Api
from server.errors import Code, ServingError
from server.inference.core import Core
from server.protocol.guard import Guard, is_forwarded
from server.protocol.http1 import content
from server.protocol.http1.messages import Request, Response
from server.telemetry import tracing

# Source: tensorflow_serving/model_servers/http_rest_api_util.cc, AddCORSHeaders
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}


@dataclass(frozen=True)
class FrontOptions:
    """How REST requests are met.

    Attributes:
        cors: Send CORS headers and answer preflight requests.
        max_body_bytes: Longest body, inflated.
        timeout_s: Longest time for an answer.
        prometheus_path: Where metrics are; empty: only at `/metrics`.
    """

    cors: bool = False
    max_body_bytes: int = 128 * 2**20
    timeout_s: float = 30.0
    prometheus_path: str = ""


class Front:
    """The handler of the REST server."""

    def __init__(self, core: Core, options: FrontOptions, guard: Guard) -> None:
        self._core = core
        self._options = options
        self._guard = guard
        self._api = RestApi(core, timeout_s=options.timeout_s)
        self._v2 = V2Api(core, timeout_s=options.timeout_s)
        self._pages = Pages(core, guard, prometheus_path=options.prometheus_path)

    def admit(self, request: Request) -> Response | None:
        """Looks at a request whose body isn't here yet; returns an answer where it isn't let in."""
        if request.method == "OPTIONS" and self._options.cors:
            return None
        try:
            self._guard.check(
                request.path,
                request.headers.get("authorization", ""),
                is_local=request.is_local and not is_forwarded(request.headers),
            )
        except ServingError as error:
            response = _failed(error)
            if error.code is Code.UNAUTHENTICATED:
                response.headers = {"WWW-Authenticate": "Bearer"}
            return self._noted(request, response, time.perf_counter())
        return None

    def refused(self, request: Request, response: Response) -> None:
        """Notes a request that breaks the protocol or a limit in the access log."""
        self._noted(request, response, time.perf_counter())

    async def __call__(self, request: Request) -> Response:
        """Returns the answer to any request that was let in."""
        start = time.perf_counter()
        try:
            response = await self._route(request)
        except ServingError as error:
            response = _failed(error)
        return self._noted(request, response, start)

    async def _route(self, request: Request) -> Response:
        if request.method == "OPTIONS" and self._options.cors:
            return Response(b"")
        if "content-encoding" in request.headers:
            await content.decode(request, self._options.max_body_bytes)
        if request.path[:4].lower() == "/v1/":
            return await self._api(request)
        if request.path[:4] in ("/v2", "/v2/"):
            return await self._v2(request)
        return await self._pages(request)

    def _noted(self, request: Request, response: Response, start: float) -> Response:
        """Adds what all answers say, and writes the access log."""
        milliseconds = (time.perf_counter() - start) * 1e3
        extra: Mapping[str, str] = _CORS if self._options.cors else {}
        response.headers = {
            **response.headers,
            **extra,
            "Server-Timing": f"total;dur={milliseconds:.3f}",
        }
        if self._core.observer.logs:
            self._core.observer.log(
                face="REST",
                peer=request.peer,
                method=request.method,
                path=request.path,
                query=request.query,
                status=response.status,
                version=response.headers.get("X-Model-Version"),
                milliseconds=round(milliseconds, 3),
                bytes_in=len(request.body),
                bytes_out=len(response.body),
                trace=tracing.trace_id(request.headers.get("traceparent", "")),
            )
        return response


def _failed(error: ServingError) -> Response:
    return Response(rendering.error(error.message), error.http_status)
