"""TensorFlow Serving's REST API: paths and methods."""

from __future__ import annotations

import functools
import re
from urllib.parse import unquote

from server.api.tfs_rest import messages, rendering
from server.api.tfs_rest.asks import RestAsk, RestClassify, RestPredict, RestRegress
from server.errors import ServingError, invalid
from server.inference.core import Core, ModelSpec
from server.inference.timeout import Timeout
from server.protocol.http1.messages import Request, Response

# Source: tensorflow_serving/model_servers/http_rest_api_util.cc
_VERSION = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
_INFERENCE = re.compile(rf"(?i:/v1/models)/([^/:]+){_VERSION}:(classify|regress|predict)")
_MODEL = re.compile(rf"(?i:/v1/models)(?:/([^/:]+))?{_VERSION}(?:/(metadata))?")
_ASKS: dict[str, type[RestAsk]] = {
    "predict": RestPredict,
    "classify": RestClassify,
    "regress": RestRegress,
}
_INT64_MAX = 2**63 - 1
_KEPT = 128  # paths, of which a server has few


class RestApi:
    """Answers requests to `/v1/…`."""

    def __init__(self, core: Core, *, timeout_s: float = 30.0) -> None:
        self._core = core
        self._timeout = Timeout(timeout_s)

    async def __call__(self, request: Request) -> Response:
        """Returns the answer to a request, errors included."""
        try:
            if request.method == "POST":
                if not request.query and (target := _inference(request.path)):
                    ask, spec = target
                    core = self._core
                    return await core.infer(ask(spec, request.body, self._timeout, core.offload))
            elif (
                request.method in ("GET", "HEAD")
                and not request.query
                and (match := _MODEL.fullmatch(request.path))
            ):
                return self._describe(match)
            asked = f"{request.path}?{request.query}" if request.query else request.path
            raise invalid(f"Malformed request: {request.method} {asked}")
        except ServingError as error:
            return Response(rendering.error(error.message), error.http_status)

    def _describe(self, match: re.Match[str]) -> Response:
        name, version, label, metadata = match.groups()
        if not name:
            raise invalid("Missing model name in request.")
        spec = ModelSpec(unquote(name), _version(version), unquote(label or ""))
        if metadata:
            return Response(messages.metadata(self._core.servable(spec)))
        found = self._core.repository.versions(spec.name, spec.version, spec.label)
        return Response(messages.status(found))


@functools.lru_cache(_KEPT)
def _inference(path: str) -> tuple[type[RestAsk], ModelSpec] | None:
    """Returns what an inference's path asks for, and of which model.

    Raises:
        ServingError: the version isn't a number that a version may have.
    """
    match = _INFERENCE.fullmatch(path)
    if match is None:
        return None
    name, version, label, verb = match.groups()
    return _ASKS[verb], ModelSpec(unquote(name), _version(version), unquote(label or ""))


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    if len(digits) > 19 or int(digits) > _INT64_MAX:
        raise invalid(f"Failed to convert version: {digits} to numeric.")
    return int(digits)
