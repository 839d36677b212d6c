"""What REST asks for: a body of JSON to a task, its result to JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.api.tfs_rest import document, examples, numbers, rendering, tensors
from server.engines import signatures
from server.errors import invalid
from server.inference.core import Answer, Ask, ModelSpec
from server.inference.tasks import Classify, Predict, Regress, Task
from server.inference.timeout import Timeout
from server.models.servable import Servable
from server.protocol.http1.messages import Response


class RestAsk(Ask[Response]):
    """An inference by REST."""

    __slots__ = ("_body", "_spec", "body")
    face = "REST"

    def __init__(self, spec: ModelSpec, body: bytes, timeout: Timeout) -> None:
        super().__init__(spec.name, timeout=timeout)
        self._spec, self._body = spec, body

    async def parse(self) -> ModelSpec:
        """Parses the JSON, which names the signature."""
        self.body = self._parsed(self._body)
        return self._spec._replace(signature=_signature_name(self.body))

    def _parsed(self, body: bytes) -> Mapping[str, Any]:
        return document.parse(body)

    async def render(self, answer: Answer) -> Response:
        """Renders JSON; a header names the version."""
        rendered = self._rendered(answer.result)
        return Response(rendered, headers={"X-Model-Version": str(answer.servable.version)})

    def _rendered(self, result: Any) -> bytes:
        raise NotImplementedError


class RestPredict(RestAsk):
    """Named tensors, by row (`instances`) or by column (`inputs`)."""

    __slots__ = ("_is_row",)
    method = "Predict"

    def _parsed(self, body: bytes) -> Mapping[str, Any]:
        return numbers.parse(body)

    async def task(self, servable: Servable) -> Task:
        """Reads the tensors in the dtypes of the signature."""
        name = _signature_name(self.body) or signatures.DEFAULT
        if name not in servable.signatures:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        inputs, self._is_row = tensors.predict_inputs(self.body, servable.signatures[name])
        return Predict(inputs)

    def _rendered(self, result: Any) -> bytes:
        return (rendering.predictions if self._is_row else rendering.columns)(result)


class RestClassify(RestAsk):
    """Examples to classes and scores."""

    __slots__ = ()
    method = "Classify"

    async def task(self, servable: Servable) -> Task:
        """Reads the examples."""
        return Classify(examples.read(self.body))

    def _rendered(self, result: Any) -> bytes:
        return rendering.classifications(result)


class RestRegress(RestAsk):
    """Examples to a value each."""

    __slots__ = ()
    method = "Regress"

    async def task(self, servable: Servable) -> Task:
        """Reads the examples."""
        return Regress(examples.read(self.body))

    def _rendered(self, result: Any) -> bytes:
        return rendering.regressions(result)


def _signature_name(body: Mapping[str, Any]) -> str:
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {document.text(body)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name
