"""What a REST client meets first: who may ask, where it goes, what is noted of it."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from server.api.pages.pages import Pages
from server.api.tfs_rest import rendering
from server.api.tfs_rest.api import RestApi
from server.api.v2.api import V2Api
from server.errors import Code, ServingError, invalid
from server.inference.core import Core
from server.protocol.guard import Guard
from server.protocol.http1.messages import Handler, Request, Response

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
        max_body_bytes: Longest body after decompression.
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
        self._api: Handler = RestApi(core, timeout_s=options.timeout_s)
        self._v2: Handler = V2Api(core, timeout_s=options.timeout_s)
        self._pages: Handler = Pages(core, prometheus_path=options.prometheus_path)

    async def __call__(self, request: Request) -> Response:
        """Returns the answer to any request."""
        start = time.perf_counter()
        try:
            response = await self._route(request)
        except ServingError as error:
            response = Response(rendering.error(error.message), error.http_status)
            if error.code is Code.UNAUTHENTICATED:
                response.headers = {"WWW-Authenticate": "Bearer"}
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
            )
        return response

    async def _route(self, request: Request) -> Response:
        if request.method == "OPTIONS" and self._options.cors:
            return Response(b"")
        self._guard.check(
            request.path, request.headers.get("authorization", ""), is_local=request.is_local
        )
        if encoding := request.headers.get("content-encoding", ""):
            request.body = self._decompressed(request.body, encoding.lower())
        if request.path[:4].lower() == "/v1/":
            return await self._api(request)
        if request.path[:4] in ("/v2", "/v2/"):
            return await self._v2(request)
        return await self._pages(request)

    def _decompressed(self, body: bytes, encoding: str) -> bytes:
        if encoding == "identity":
            return body
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise invalid(f"Content-Encoding {encoding} is not supported; gzip and deflate are")
        limit = self._options.max_body_bytes
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header
        try:
            found = inflater.decompress(body, limit + 1)
        except zlib.error as error:
            raise invalid(f"the body is not {encoding}: {error}") from None
        if len(found) > limit:
            raise ServingError(Code.RESOURCE_EXHAUSTED, f"the body inflates to over {limit} bytes")
        if not inflater.eof:
            raise invalid(f"the {encoding} body is truncated")
        return found
