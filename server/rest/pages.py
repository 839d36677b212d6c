"""What the server tells about itself, outside the official paths."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from server.core import Core
from server.errors import Code, ServingError
from server.http.messages import Request, Response
from server.repository import Model
from server.rest import openapi, rendering, status_page
from server.signatures import Tensor
from server.version import Version
from wire import dtypes

METRICS = "/metrics"


class Pages:
    """Answers everything that isn't under `/v1/`."""

    def __init__(self, core: Core, *, prometheus_path: str = "") -> None:
        self._core = core
        self._pages: dict[str, Callable[[], Response]] = {
            "/": self._status,
            "/healthz": lambda: _json({"status": "ok"}),
            "/readyz": self._readiness,
            "/models": lambda: _json({"models": [*map(describe, self._models())]}),
            "/openapi.json": lambda: _json(openapi.document(self._models())),
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
        return page()

    def _models(self) -> list[Model]:
        models = self._core.repository.models
        return [models[name] for name in sorted(models)]

    def _status(self) -> Response:
        return status_page.render(self._models(), self._core.observer.recent)

    def _metrics(self) -> Response:
        return Response(self._core.observer.page(), content_type="text/plain; version=0.0.4")

    def _readiness(self) -> Response:
        is_ready = self._core.repository.is_ready and not self._core.is_draining
        models = {
            model.config.name: model.latest.version if model.latest else None
            for model in self._models()
        }
        body = {"ready": is_ready, "draining": self._core.is_draining, "models": models}
        return _json(body, 200 if is_ready else 503)


def describe(model: Model) -> Mapping[str, Any]:
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


def _tensors(tensors: Mapping[str, Tensor]) -> Mapping[str, Any]:
    return {
        name: {"dtype": dtypes.enum_name(tensor.dtype), "shape": tensor.shape}
        for name, tensor in tensors.items()
    }


def _json(value: Any, status: int = 200) -> Response:
    return Response((json.dumps(value, indent=1) + "\n").encode(), status)
