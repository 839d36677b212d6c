"""TensorFlow Serving's REST API: paths, methods, answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from server import example_inference, inference, signatures
from server.core import Core, ModelSpec
from server.errors import Code, ServingError, invalid
from server.http.messages import Request, Response
from server.rest import document, examples, messages, rendering, tensors
from server.servable import Servable

# Source: tensorflow_serving/model_servers/http_rest_api_util.cc
_VERSION = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
_INFERENCE = re.compile(rf"(?i:/v1/models)/([^/:]+){_VERSION}:(classify|regress|predict)")
_MODEL = re.compile(rf"(?i:/v1/models)(?:/([^/:]+))?{_VERSION}(?:/(metadata))?")
_INT64_MAX = 2**63 - 1

Infer = Callable[[ModelSpec, Mapping[str, Any], float], Awaitable[tuple[bytes, Servable]]]


class RestApi:
    """Answers requests to `/v1/…`."""

    def __init__(self, core: Core, *, timeout_s: float = 30.0) -> None:
        self._core = core
        self._timeout_s = timeout_s
        self._methods: dict[str, Infer] = {
            "predict": self._predict,
            "classify": self._classify,
            "regress": self._regress,
        }

    async def __call__(self, request: Request) -> Response:
        """Returns the answer to a request, errors included."""
        try:
            if request.method == "POST":
                if match := _INFERENCE.fullmatch(request.path):
                    return await self._infer(match, request.body)
            elif request.method in ("GET", "HEAD") and (match := _MODEL.fullmatch(request.path)):
                return self._describe(match)
            raise invalid(f"Malformed request: {request.method} {request.path}")
        except ServingError as error:
            return Response(rendering.error(error.message), error.http_status)

    async def _infer(self, match: re.Match[str], body: bytes) -> Response:
        name, version, label, method = match.groups()
        spec = ModelSpec(unquote(name), _version(version), unquote(label or ""))
        parsed = document.parse(body)
        signature = parsed.get("signature_name", "")
        if not isinstance(signature, str):
            raise invalid(
                f"JSON Value: {document.text(parsed)} not formatted correctly. "
                "'signature_name' key must be a string value."
            )
        spec = ModelSpec(spec.name, spec.version, spec.label, signature)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                rendered, servable = await self._methods[method](spec, parsed, deadline)
        except TimeoutError:
            raise ServingError(Code.DEADLINE_EXCEEDED, "Timed out") from None
        return Response(rendered, headers={"X-Model-Version": str(servable.version)})

    async def _predict(
        self, spec: ModelSpec, body: Mapping[str, Any], deadline: float
    ) -> tuple[bytes, Servable]:
        with self._core.servable(spec) as servable:
            name = spec.signature or signatures.DEFAULT
            if name not in servable.signatures:
                raise invalid(f'Serving signature name: "{name}" not found in signature def')
            inputs, is_row = tensors.predict_inputs(body, servable.signatures[name])
            outputs = await inference.predict(
                self._core.execute, servable, name, inputs, deadline=deadline
            )
            render = rendering.predictions if is_row else rendering.columns
            return render(outputs), servable

    async def _classify(
        self, spec: ModelSpec, body: Mapping[str, Any], deadline: float
    ) -> tuple[bytes, Servable]:
        found = examples.read(body)
        with self._core.servable(spec) as servable:
            result = await example_inference.classify(
                self._core.execute, servable, spec.signature, found, deadline=deadline
            )
            return rendering.classifications(result), servable

    async def _regress(
        self, spec: ModelSpec, body: Mapping[str, Any], deadline: float
    ) -> tuple[bytes, Servable]:
        found = examples.read(body)
        with self._core.servable(spec) as servable:
            result = await example_inference.regress(
                self._core.execute, servable, spec.signature, found, deadline=deadline
            )
            return rendering.regressions(result), servable

    def _describe(self, match: re.Match[str]) -> Response:
        name, version, label, metadata = match.groups()
        if not name:
            raise invalid("Missing model name in request.")
        spec = ModelSpec(unquote(name), _version(version), unquote(label or ""))
        if metadata:
            return Response(messages.metadata(self._core.servable(spec)))
        found = self._core.repository.versions(spec.name, spec.version, spec.label)
        return Response(messages.status(found))


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    if len(digits) > 19 or int(digits) > _INT64_MAX:
        raise invalid(f"Failed to convert version: {digits} to numeric.")
    return int(digits)
