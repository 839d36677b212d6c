"""What each call does, whichever API carries it: try again, follow versions, name outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from client.arrays import to_array
from client.codec import Codec, Description, Exchange, Predicted, UnlikeSignature
from client.deadline import Deadline
from client.descriptions import Descriptions
from client.errors import ServingError, Unavailable
from client.model_spec import ModelSpec
from client.results import Classification, Prediction, Regression, VersionStatus
from client.retry import Retry
from client.signature import ServedSignature
from client.steps import Compute, Pause, Send, Steps

Read = TypeVar("Read")

# Seconds that a signature may be relied on where answers don't name their outputs.
FRESH_S = 1.0
# Tries of a predict call that other versions answer each time.
_ATTEMPTS = 6
# A server may do without metadata; then inputs and outputs are taken as they are.
_NO_METADATA = ("UNIMPLEMENTED", "INVALID_ARGUMENT", "INTERNAL", "UNKNOWN")
# What a server says to inputs, or to a version, of which it has known.
_MAY_BE_OUTDATED = ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND")


class _Again(Exception):
    """The answer, or the refusal, came from another version than the one described."""

    def __init__(self, why: ServingError):
        super().__init__(str(why))
        self.why = why


class Calls:
    """The calls of one client, as steps; may be taken by several threads at once."""

    def __init__(self, codec: Codec, retry: Retry):
        self._codec = codec
        self._retry = retry
        self._descriptions = Descriptions(float("inf") if codec.names_outputs else FRESH_S)
        # Whether answers say which version they come from; found out by the first one.
        self._answers_name_version = codec.names_outputs

    def predict(
        self, spec: ModelSpec, inputs: Any, signature_name: str, deadline: Deadline
    ) -> Steps[Prediction]:
        """Runs a model; see `Client.predict`.

        An output gets its name and dtype from the answer, or from the signature of the version that
        gave the answer, and from nothing else. Where answers don't say which version that is, the
        version that was described is asked for by its number.
        """
        for attempt in range(_ATTEMPTS):
            if attempt > 1:
                yield Pause(min(self._retry.first_wait, deadline.left()))
            try:
                return (yield from self._predict(spec, inputs, signature_name, deadline, attempt))
            except _Again as again:
                reason = again.why
        raise reason

    def classify(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
        deadline: Deadline,
    ) -> Steps[Classification]:
        """Classifies examples."""
        exchange = self._codec.classify(spec, examples, context, signature_name)
        return (yield from self._send(exchange, deadline))

    def regress(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
        deadline: Deadline,
    ) -> Steps[Regression]:
        """Regresses examples."""
        exchange = self._codec.regress(spec, examples, context, signature_name)
        return (yield from self._send(exchange, deadline))

    def status(self, spec: ModelSpec, deadline: Deadline) -> Steps[list[VersionStatus]]:
        """Asks for the states of a model's versions, newest first."""
        states = yield from self._send(self._codec.status(spec), deadline)
        return sorted(states, key=lambda entry: entry.version, reverse=True)

    def metadata(self, spec: ModelSpec, deadline: Deadline) -> Steps[dict[str, ServedSignature]]:
        """Asks for a model's signatures."""
        description = yield from self._send(self._codec.describe(spec), deadline)
        return dict(description.signatures)

    def served_version(self, spec: ModelSpec, deadline: Deadline) -> Steps[int]:
        """Asks for the newest version that answers; see `Client.served_version`."""
        states = yield from self.status(spec, deadline)
        available = [state.version for state in states if state.available]
        if available:
            return max(available)
        seen = ", ".join(f"version {s.version} is {s.state} {s.error}".rstrip() for s in states)
        raise Unavailable(f"{spec} answers no requests: {seen}")

    def wait_until_ready(self, spec: ModelSpec, deadline: Deadline, each: float) -> Steps[int]:
        """Asks again and again, `each` seconds a time at most; see `Client.wait_until_ready`."""
        pause = 0.02
        while True:
            try:
                return (yield from self.served_version(spec, deadline.within(each)))
            except ServingError as error:
                if error.code not in ("UNAVAILABLE", "NOT_FOUND", "DEADLINE_EXCEEDED"):
                    raise
                if not deadline.allows(pause):
                    text = f"not ready after {deadline.timeout:g} s: {error.message}"
                    raise Unavailable(text) from None
            yield Pause(pause)
            pause = min(2 * pause, 0.5)

    def _predict(
        self,
        spec: ModelSpec,
        inputs: Any,
        signature_name: str,
        deadline: Deadline,
        attempt: int,
    ) -> Steps[Prediction]:
        described = yield from self._describe(spec, deadline)
        known = described.signatures.get(signature_name) if described else None
        asked = self._asked(spec, described)
        exchange = self._codec.predict(asked, _arrays(inputs, known), signature_name, known)
        try:
            answer = yield from self._send(exchange, deadline)
        except ServingError as error:
            if asked != spec and error.code == "NOT_FOUND" and attempt % 2:
                # Servers behind one address may have different versions, and be asked in turn:
                # without a question in between, the next one may have the version described.
                raise _Again(error) from None
            if error.code in _MAY_BE_OUTDATED:
                yield from self._look_again(spec, asked, described, error, deadline)
            raise
        if self._codec.names_outputs:
            if described and answer.version not in (None, described.version):
                self._descriptions.follow(spec, answer.version)
            return Prediction(answer.outputs(None), answer.version)
        self._answers_name_version = answer.version is not None
        served = asked.version if answer.version is None else answer.version
        if described is None:
            return (yield from self._named(answer, served, None, spec))
        if served is None and described.version is not None:
            raise _Again(Unavailable(f"{spec}: answers don't say any more which version they are"))
        if served != described.version:
            described = yield from self._answered_by(
                spec, served, described, signature_name, deadline
            )
        signature = None
        if served is not None and served == described.version:
            signature = described.signatures.get(signature_name)
        return (yield from self._named(answer, served, signature, spec))

    def _asked(self, spec: ModelSpec, described: Description | None) -> ModelSpec:
        if self._answers_name_version or described is None or described.version is None:
            return spec
        return ModelSpec(spec.model, described.version)

    def _named(
        self,
        answer: Predicted,
        served: int | None,
        signature: ServedSignature | None,
        spec: ModelSpec,
    ) -> Steps[Prediction]:
        try:
            if answer.is_large:
                outputs = yield Compute(lambda: answer.outputs(signature))
            else:
                outputs = answer.outputs(signature)
        except UnlikeSignature as error:  # another model by now, under the same number
            self._descriptions.drop(spec)
            text = f"{spec}: the answer isn't as its signature says: {error}"
            raise _Again(ServingError("INTERNAL", text)) from None
        return Prediction(outputs, served)

    def _answered_by(
        self,
        spec: ModelSpec,
        served: int | None,
        described: Description,
        signature_name: str,
        deadline: Deadline,
    ) -> Steps[Description]:
        """Returns the description of the version that answered in place of the one described."""
        if served is None:
            return described
        changed = Unavailable(f"{spec}: version {served} took over, and has gone already")
        try:
            current = yield from self._describe(ModelSpec(spec.model, served), deadline)
        except ServingError as error:
            self._descriptions.drop(spec)
            if error.code != "NOT_FOUND":
                raise
            raise _Again(changed) from None
        self._descriptions.follow(spec, served)
        if current is None:
            raise _Again(changed)
        if _dtypes(current, signature_name) != _dtypes(described, signature_name):
            # The inputs were cast for the other version.
            raise _Again(Unavailable(f"{spec}: version {served} took over, with other inputs"))
        return current

    def _look_again(
        self,
        spec: ModelSpec,
        asked: ModelSpec,
        described: Description | None,
        refusal: ServingError,
        deadline: Deadline,
    ) -> Steps[None]:
        """Reads the signature that a refused call was made for again; _Again if it's another."""
        self._descriptions.drop(spec)
        self._descriptions.drop(asked)
        try:
            current = yield from self._describe(spec, deadline)
        except ServingError:
            raise refusal from None
        has_gone = asked != spec and refusal.code == "NOT_FOUND"
        if has_gone or current != described:
            raise _Again(refusal)

    def _describe(self, spec: ModelSpec, deadline: Deadline) -> Steps[Description | None]:
        found = self._descriptions.find(spec)
        if found is not None:
            return found[0]
        try:
            description = yield from self._send(self._codec.describe(spec), deadline)
        except ServingError as error:
            if error.code not in _NO_METADATA:
                self._descriptions.drop(spec)
                raise
            description = None
        self._descriptions.keep(spec, description)
        return description

    def _send(self, exchange: Exchange[Read], deadline: Deadline) -> Steps[Read]:
        for pause in self._retry.pauses():
            try:
                answer: Read = yield Send(exchange, deadline)
                return answer
            except Unavailable:
                if pause is None or not deadline.allows(pause):
                    raise
                yield Pause(pause)
        raise AssertionError("the last pause is None")


def _arrays(inputs: Any, known: ServedSignature | None) -> dict[str, np.ndarray]:
    if known is not None:
        return known.named_inputs(inputs)
    named = inputs if isinstance(inputs, Mapping) else {"inputs": inputs}
    return {name: to_array(value) for name, value in named.items()}


def _dtypes(description: Description, signature_name: str) -> dict[str, str] | None:
    signature = description.signatures.get(signature_name)
    if signature is None:
        return None
    return {name: spec.dtype for name, spec in signature.inputs.items()}
