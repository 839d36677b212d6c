"""What the server tells about itself, outside the official paths."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from server.api.pages import openapi, status_page
from server.api.tfs_rest import rendering
from server.engines.signatures import TensorInfo
from server.errors import Code, ServingError
from server.inference.core import Core
from server.models.model import ServedModel
from server.models.version import Version
from server.protocol.guard import Guard
from server.protocol.http1.messages import Request, Response
from server.telemetry import report
from wire import dtypes

METRICS = "/metrics"
_HEALTHY = b'{\n "status": "ok"\n}\n'


class Pages:
    """Answers everything that isn't under `/v1/`."""

    def __init__(self, core: Core, guard: Guard, *, prometheus_path: str = "") -> None:
        self._core = core
        self._guard = guard
        self._pages: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "/": self._status,
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/models": self._list,
            "/openapi.json": self._openapi,
            METRICS: self._metrics,
        }
        if prometheus_path:
            self._pages[prometheus_path] = self._metrics

    async def __call__(self, request: Request) -> Response:
        """Returns a page.

        Raises:
            ServingError: NOT_FOUND.
        """
        page = self._pages.get(request.path)
        if page is None:
            raise ServingError(
                Code.NOT_FOUND,
                f"{request.path}: no such page; the API is under /v1/, see /openapi.json",
            )
        if request.method not in ("GET", "HEAD"):
            body = rendering.error(f"{request.path} takes GET alone")
            return Response(body, 405, headers={"Allow": "GET, HEAD"})
        return await page(request)

    def _models(self) -> list[ServedModel]:
        models = self._core.repository.models
        return [models[name] for name in sorted(models)]

    async def _health(self, _: Request) -> Response:
        return Response(_HEALTHY)

    async def _list(self, _: Request) -> Response:
        return _json({"models": [*map(describe, self._models())]})

    async def _openapi(self, _: Request) -> Response:
        return _json(openapi.document(self._models()))

    async def _status(self, _: Request) -> Response:
        found = [one for one in await self._core.reports() if one is not None]
        return status_page.render(self._models(), sorted(r for one in found for r in one.recent))

    async def _metrics(self, _: Request) -> Response:
        page = report.metrics_page(await self._core.reports())
        return Response(page, content_type="text/plain; version=0.0.4")

    async def _readiness(self, request: Request) -> Response:
        """Answers for all workers: a connection may reach any of them.

        Names of models are for those who may ask for them: probes come without a token.
        """
        found = await self._core.reports()
        own = self._core.report()
        is_ready = all(one is not None and one.is_ready for one in found)
        body: dict[str, Any] = {"ready": is_ready, "draining": own.is_draining}
        if self._guard.trusts(request.headers.get("authorization", "")):
            body["models"] = own.models
            if len(found) > 1:
                body["workers"] = [
                    {"ready": one.is_ready, "models": one.models} if one is not None else None
                    for one in found
                ]
        return _json(body, 200 if is_ready else 503)


def describe(model: ServedModel) -> Mapping[str, Any]:
    """Returns what `/models` says of a model."""
    return {
        "name": model.config.name,
        "base_path": str(model.config.base_path),
        "labels": dict(model.config.labels),
        "versions": [_version(model.versions[n]) for n in sorted(model.versions, reverse=True)],
    }


def _version(version: Version) -> Mapping[str, Any]:
    found: dict[str, Any] = {"version": version.number, "state": version.state.name}
    if version.error is not None:
        found["error"] = version.error.message
    if version.servable is not None:
        found["engine"] = version.servable.engine.name
        found["signatures"] = {
            name: {
                "method_name": signature.method_name,
                "inputs": _tensors(signature.inputs),
                "outputs": _tensors(signature.outputs),
            }
            for name, signature in sorted(version.servable.signatures.items())
        }
    return found


def _tensors(tensors: Mapping[str, TensorInfo]) -> Mapping[str, Any]:
    return {
        name: {"dtype": dtypes.enum_name(tensor.dtype), "shape": tensor.shape}
        for name, tensor in tensors.items()
    }


def _json(value: Any, status: int = 200) -> Response:
    return Response((json.dumps(value, indent=1) + "\n").encode(), status)
