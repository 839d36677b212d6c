"""The protocol's REST API: paths and methods.

Sources: kserve/open-inference-protocol, specification/protocol/open_inference_rest.yaml;
triton-inference-server/server, docs/protocol/extension_model_repository.md.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import orjson

from server.api.tfs_rest import rendering
from server.api.v2 import metadata, repository
from server.api.v2.asks import RestInfer
from server.api.v2.body import HEADER_LENGTH
from server.api.v2.inputs import version_or_label
from server.errors import Code, ServingError, invalid
from server.inference.core import Core, ModelSpec
from server.inference.timeout import Timeout
from server.protocol.http1.messages import Request, Response

_MODEL = r"/v2/models/([^/]+)(?:/versions/([^/]+))?"
_INFER = re.compile(rf"{_MODEL}/infer")
_DESCRIBE = re.compile(rf"{_MODEL}(/ready)?")
_REPOSITORY = re.compile(r"/v2/repository(?:/([^/]+))?/(?:index|models/([^/]+)/(load|unload))")
_HEADER_LENGTH = HEADER_LENGTH.lower()
_KEPT = 128  # paths, of which a server has few
_READING = ("GET", "HEAD")


class V2Api:
    """Answers requests to `/v2` and `/v2/…`."""

    def __init__(self, core: Core, *, timeout_s: float = 30.0) -> None:
        self._core = core
        self._timeout = Timeout(timeout_s)

    async def __call__(self, request: Request) -> Response:
        """Returns the answer to a request.

        Raises:
            ServingError: there is none.
        """
        path = request.path
        if spec := _inference(path):
            if request.method != "POST":
                return _wrong_method(path, "POST")
            header_length = request.headers.get(_HEADER_LENGTH)
            return await self._core.infer(
                RestInfer(spec, request.body, header_length, self._timeout, self._core.offload)
            )
        if match := _REPOSITORY.fullmatch(path):
            if request.method != "POST":
                return _wrong_method(path, "POST")
            return await self._control(request, *(unquote(g or "") for g in match.groups()))
        answer = self._reading(path)
        if answer is None:
            raise ServingError(
                Code.NOT_FOUND, f"{path}: the Open Inference Protocol has no such path here"
            )
        if request.method not in _READING:
            return _wrong_method(path, ", ".join(_READING))
        return await answer()

    def _reading(self, path: str) -> Callable[[], Awaitable[Response]] | None:
        """Returns what answers a GET of a path; None where nothing does."""
        if path in ("/v2", "/v2/"):
            return self._server_metadata
        if path == "/v2/health/live":
            return self._live
        if path == "/v2/health/ready":
            return self._ready
        if match := _DESCRIBE.fullmatch(path):
            name, version, ready = (unquote(group or "") for group in match.groups())
            describe = self._model_ready if ready else self._model_metadata
            return functools.partial(describe, name, version)
        return None

    async def _server_metadata(self) -> Response:
        return Response(orjson.dumps(metadata.server()))

    async def _live(self) -> Response:
        return Response(orjson.dumps({"live": True}))

    async def _ready(self) -> Response:
        is_ready = await metadata.is_server_ready(self._core)
        # The specification's text says `live` here, too; KServe's client reads `ready`.
        return Response(orjson.dumps({"live": True, "ready": is_ready}), 200 if is_ready else 503)

    async def _model_ready(self, name: str, version: str) -> Response:
        is_ready = metadata.is_model_ready(self._core, name, version)
        if is_ready is None:
            which = f"version {version} of model {name}" if version else f"model {name}"
            raise ServingError(Code.NOT_FOUND, f"{which} is unknown")
        return Response(orjson.dumps({"name": name, "ready": is_ready}), 200 if is_ready else 503)

    async def _model_metadata(self, name: str, version: str) -> Response:
        return Response(orjson.dumps(metadata.model(self._core, name, version)))

    async def _control(self, request: Request, where: str, name: str, verb: str) -> Response:
        body = _object(request.body)
        if not name:
            ready_only = body.get("ready", False)
            if not isinstance(ready_only, bool):
                raise invalid("ready must be true or false")
            entries = await repository.index(self._core, where, ready_only=ready_only)
            return Response(orjson.dumps([entry._asdict() for entry in entries]))
        _refuse_pages(request)
        parameters = body.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise invalid("parameters must be a JSON object")
        if verb == "load":
            await repository.load(self._core, where, name, parameters)
        else:
            await repository.unload(self._core, where, name)
        return Response(orjson.dumps({"name": name, verb: True}))  # as KServe's server


@functools.lru_cache(_KEPT)
def _inference(path: str) -> ModelSpec | None:
    """Returns the model that an inference's path names; None for other paths.

    Raises:
        ServingError: no version has such a number.
    """
    match = _INFER.fullmatch(path)
    if match is None:
        return None
    name, version = match.groups()
    return ModelSpec(unquote(name), *version_or_label(unquote(version or "")))


def _refuse_pages(request: Request) -> None:
    """Refuses what a page of another origin has a browser send, which needs no leave for a POST.

    Without tokens, whoever is on this machine may change what is served; a browser on it speaks for
    any page that it shows. No page can make it send a token that it doesn't have.
    Source: https://fetch.spec.whatwg.org/#origin-header

    Raises:
        ServingError: PERMISSION_DENIED.
    """
    headers = request.headers
    if "origin" in headers and "authorization" not in headers:
        raise ServingError(
            Code.PERMISSION_DENIED, f"{request.path} is not for web pages without a token"
        )


def _object(body: bytes | bytearray) -> Mapping[str, Any]:
    """Returns the members of a body, which may be empty."""
    if not body.strip():
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"the request is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise invalid("the request must be a JSON object")
    return document


def _wrong_method(path: str, allowed: str) -> Response:
    body = rendering.error(f"{path} takes {allowed} alone")
    return Response(body, 405, headers={"Allow": allowed})
