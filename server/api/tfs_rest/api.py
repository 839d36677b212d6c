"""TensorFlow Serving's REST API: paths, methods, answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import numpy as np

from server.api.tfs_rest import document, examples, messages, numbers, rendering, tensors
from server.api.tfs_rest.timeout import Timeout
from server.engines import signatures
from server.errors import Code, ServingError, invalid
from server.inference import examples as example_inference
from server.inference import predict
from server.inference.core import Core, ModelSpec
from server.models.servable import Servable
from server.protocol.http1.messages import Request, Response
from wire import serving_pb2 as pb
from wire.tensors import from_array

# Source: tensorflow_serving/model_servers/http_rest_api_util.cc
_VERSION = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
_INFERENCE = re.compile(rf"(?i:/v1/models)/([^/:]+){_VERSION}:(classify|regress|predict)")
_MODEL = re.compile(rf"(?i:/v1/models)(?:/([^/:]+))?{_VERSION}(?:/(metadata))?")
_INT64_MAX = 2**63 - 1
_KEPT = 128  # paths, of which a server has few
_TIMED_OUT = "the answer took longer than --rest_api_timeout_in_ms"

Infer = Callable[[Servable, str, Mapping[str, Any], float], Awaitable[bytes]]


class RestApi:
    """Answers requests to `/v1/…`."""

    def __init__(self, core: Core, *, timeout_s: float = 30.0) -> None:
        self._core = core
        self._timeout = Timeout(timeout_s)
        self._methods: dict[str, tuple[str, Infer]] = {
            "predict": ("Predict", self._predict),
            "classify": ("Classify", self._classify),
            "regress": ("Regress", self._regress),
        }

    async def __call__(self, request: Request) -> Response:
        """Returns the answer to a request, errors included."""
        try:
            if request.method == "POST":
                if target := _inference(request.path):
                    return await self._infer(*target, request.body)
            elif request.method in ("GET", "HEAD") and (match := _MODEL.fullmatch(request.path)):
                return self._describe(match)
            raise invalid(f"Malformed request: {request.method} {request.path}")
        except ServingError as error:
            return Response(rendering.error(error.message), error.http_status)

    async def _infer(
        self, name: str, version: str | None, label: str, verb: str, body: bytes
    ) -> Response:
        method, infer = self._methods[verb]
        with self._core.observer.watch("REST", method, name) as seen:
            spec = ModelSpec(name, _version(version), label)
            parsed = numbers.parse(body) if verb == "predict" else document.parse(body)
            seen.signature = _signature_name(parsed)
            with self._core.admission, self._core.servable(spec) as servable:
                seen.version = servable.version
                try:
                    rendered = await self._timeout.run(
                        lambda deadline: infer(servable, seen.signature, parsed, deadline)
                    )
                except TimeoutError:
                    raise ServingError(Code.DEADLINE_EXCEEDED, _TIMED_OUT) from None
        return Response(rendered, headers={"X-Model-Version": str(seen.version)})

    async def _predict(
        self, servable: Servable, signature: str, body: Mapping[str, Any], deadline: float
    ) -> bytes:
        if signature not in servable.signatures:
            raise invalid(f'Serving signature name: "{signature}" not found in signature def')
        inputs, is_row = tensors.predict_inputs(body, servable.signatures[signature])
        outputs = await predict.predict(
            self._core.execute, servable, signature, inputs, deadline=deadline
        )
        if self._core.request_log.wants(servable.name):
            request = pb.PredictRequest(inputs=_protos(inputs))
            answer = pb.PredictResponse(outputs=_protos(outputs))
            self._log(servable, signature, "predict_log", request, answer)
        return (rendering.predictions if is_row else rendering.columns)(outputs)

    async def _classify(
        self, servable: Servable, signature: str, body: Mapping[str, Any], deadline: float
    ) -> bytes:
        found = self._examples(servable, body)
        result = await example_inference.classify(
            self._core.execute, servable, signature, found, deadline=deadline
        )
        if self._core.request_log.wants(servable.name):
            request = pb.ClassificationRequest(input=found)
            answer = pb.ClassificationResponse(result=result)
            self._log(servable, signature, "classify_log", request, answer)
        return rendering.classifications(result)

    async def _regress(
        self, servable: Servable, signature: str, body: Mapping[str, Any], deadline: float
    ) -> bytes:
        found = self._examples(servable, body)
        result = await example_inference.regress(
            self._core.execute, servable, signature, found, deadline=deadline
        )
        if self._core.request_log.wants(servable.name):
            request = pb.RegressionRequest(input=found)
            answer = pb.RegressionResponse(result=result)
            self._log(servable, signature, "regress_log", request, answer)
        return rendering.regressions(result)

    def _examples(self, servable: Servable, body: Mapping[str, Any]) -> pb.Input:
        found = examples.read(body)
        self._core.observer.record_examples(servable.name, example_inference.count(found))
        return found

    def _log(
        self, servable: Servable, signature: str, kind: str, request: Any, answer: Any
    ) -> None:
        """Logs an exchange as the messages that gRPC has for it."""
        for message in (request, answer):
            message.model_spec.name = servable.name
            message.model_spec.signature_name = signature
            message.model_spec.version.value = servable.version
        self._core.request_log.add(servable, signature, kind, request, answer)

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
def _inference(path: str) -> tuple[str, str | None, str, str] | None:
    """Returns an inference's model, version, label and verb, as its path has them."""
    match = _INFERENCE.fullmatch(path)
    if match is None:
        return None
    name, version, label, verb = match.groups()
    return unquote(name), version, unquote(label or ""), verb


def _protos(arrays: Mapping[str, np.ndarray]) -> dict[str, pb.TensorProto]:
    return {name: from_array(array) for name, array in arrays.items()}


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    if len(digits) > 19 or int(digits) > _INT64_MAX:
        raise invalid(f"Failed to convert version: {digits} to numeric.")
    return int(digits)


def _signature_name(body: Mapping[str, Any]) -> str:
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {document.text(body)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name or signatures.DEFAULT
