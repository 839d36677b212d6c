"""What REST asks for: a body of JSON to a task, its result to JSON.

What is long is read and rendered on threads: see `inference/offload.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from server.api.tfs_rest import document, examples, numbers, pieces, printing, rendering, tensors
from server.engines import signatures
from server.engines.signatures import ModelSignature
from server.errors import invalid
from server.inference.ask import Answer, Ask, ModelSpec
from server.inference.offload import LONG, LONG_PLAIN, Offload
from server.inference.tasks import Classify, Predict, Regress, Task
from server.inference.timeout import Timeout
from server.models import memory
from server.models.servable import Servable
from server.protocol.http1.messages import Response

_PLAIN = 2**20  # bytes of plain numbers that are read in one go: some milliseconds
_HUGE = 8 * 2**20  # bytes, of which pieces stay in many places
_LONG_ODD = 4 * 1024  # bytes that take as long to read one by one as `LONG` take otherwise


class RestAsk(Ask[Response]):
    """An inference by REST."""

    __slots__ = ("_body", "_offload", "_spec", "body")
    face = "REST"

    def __init__(
        self, spec: ModelSpec, body: bytes | bytearray, timeout: Timeout, offload: Offload
    ) -> None:
        super().__init__(spec.name, timeout=timeout)
        self._spec, self._body, self._offload = spec, body, offload

    async def parse(self) -> ModelSpec:
        """Parses the JSON, which names the signature."""
        body = self._body
        found: Mapping[str, Any] | None
        size = len(body)
        if size > LONG:
            found = await self._in_turn(body) if size <= LONG_PLAIN else None
            if found is None:
                found = await self._offload(self._long, body)
        elif (found := self._quick(body)) is None:
            if size > _LONG_ODD:
                found = await self._offload(document.parse_odd, body)
            else:
                found = document.parse_odd(body)
        self.body = found
        if name := _signature_name(found):
            return self._spec._replace(signature=name)
        return self._spec

    async def _in_turn(self, body: bytes | bytearray) -> Mapping[str, Any] | None:
        """Reads what is quick to read on the event loop, in its turn; None for all else."""
        return None

    def _quick(self, body: bytes | bytearray) -> Mapping[str, Any] | None:
        return document.parse_plain(body)

    def _long(self, body: bytes | bytearray) -> Mapping[str, Any]:
        if len(body) > _HUGE:
            memory.release()  # what it came in
        if len(body) > pieces.LONG:
            return self._plain(body) or pieces.read(body)
        found = self._quick(body)
        return document.parse_odd(body) if found is None else found

    def _plain(self, body: bytes | bytearray) -> Mapping[str, Any] | None:
        """Reads what is quick to read at any length; None for all else."""
        return None

    async def render(self, answer: Answer) -> Response:
        """Renders JSON; a header names the version."""
        result = answer.result
        if self._is_long(result):
            rendered = await self._offload(self._rendered, result)
        else:
            rendered = self._rendered(result)
        return Response(rendered, headers={"X-Model-Version": str(answer.servable.version)})

    def _is_long(self, result: Any) -> bool:
        raise NotImplementedError

    def _rendered(self, result: Any) -> bytes:
        raise NotImplementedError


class RestPredict(RestAsk):
    """Named tensors, by row (`instances`) or by column (`inputs`)."""

    __slots__ = ("_is_row",)
    method = "Predict"

    def _quick(self, body: bytes | bytearray) -> Mapping[str, Any] | None:
        return numbers.parse(bytes(body)) or document.parse_plain(body)

    async def _in_turn(self, body: bytes | bytearray) -> Mapping[str, Any] | None:
        rounds = self._offload.rounds
        if not rounds.take(len(body)):
            await rounds.wait(len(body))
        return numbers.parse(bytes(body))

    def _plain(self, body: bytes | bytearray) -> Mapping[str, Any] | None:
        return numbers.parse(bytes(body)) if len(body) <= _PLAIN else None

    async def task(self, servable: Servable) -> Task:
        """Reads the tensors in the dtypes of the signature."""
        name = _signature_name(self.body) or signatures.DEFAULT
        if name not in servable.signatures:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        signature = servable.signatures[name]
        body = self.body
        found = tensors.numbers_in(body, signature) if isinstance(body, numbers.Envelope) else None
        if found is None:
            if len(self._body) > _LONG_ODD:
                found = await self._offload(self._inputs, signature)
            else:
                found = tensors.predict_inputs(body, signature)
        inputs, self._is_row = found
        return Predict(inputs)

    def _inputs(self, signature: ModelSignature) -> tuple[dict[str, np.ndarray], bool]:
        try:
            return tensors.predict_inputs(self.body, signature)
        finally:
            if len(self._body) > _HUGE:
                memory.release()

    def _is_long(self, result: Any) -> bool:
        return sum([array.size for array in result.values()]) > rendering.LONG

    def _rendered(self, result: Any) -> bytes:
        return (rendering.predictions if self._is_row else rendering.columns)(result)


class RestClassify(RestAsk):
    """Examples to classes and scores."""

    __slots__ = ()
    method = "Classify"

    async def task(self, servable: Servable) -> Task:
        """Reads the examples."""
        if len(self._body) > _LONG_ODD:
            return Classify(await self._offload(examples.read, self.body))
        return Classify(examples.read(self.body))

    def _is_long(self, result: Any) -> bool:
        found = result.classifications
        return len(found) * len(found[0].classes) > rendering.LONG if found else False

    def _rendered(self, result: Any) -> bytes:
        return rendering.classifications(result)


class RestRegress(RestAsk):
    """Examples to a value each."""

    __slots__ = ()
    method = "Regress"

    async def task(self, servable: Servable) -> Task:
        """Reads the examples."""
        if len(self._body) > _LONG_ODD:
            return Regress(await self._offload(examples.read, self.body))
        return Regress(examples.read(self.body))

    def _is_long(self, result: Any) -> bool:
        return len(result.regressions) > rendering.LONG

    def _rendered(self, result: Any) -> bytes:
        return rendering.regressions(result)


def _signature_name(body: Mapping[str, Any]) -> str:
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {printing.text(pieces.head(dict(body)))} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name
