"""TensorFlow Serving's REST API: arrays to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from client import json_tensors, signature
from client.codec import (
    Description,
    HttpBody,
    HttpExchange,
    HttpReply,
    Predicted,
    UnlikeSignature,
)
from client.model_spec import ModelSpec
from client.replies import Replies
from client.results import Classification, Regression, VersionStatus
from client.signature import ServedSignature

Read = TypeVar("Read")

# This project's server names the version that answered; TensorFlow Serving doesn't.
VERSION_HEADER = "x-model-version"
# The name of an output that neither the answer nor a signature names.
UNNAMED = ""
# What reading JSON of another form raises.
_NOT_OURS = (AttributeError, KeyError, TypeError, ValueError)
_LARGE = 64 * 1024  # bytes of JSON
# The headers of a body.
JSON = {"Content-Type": "application/json"}


def path(spec: ModelSpec, verb: str = "") -> str:
    """Returns the path of a model, a version or a label, with a verb such as `:predict`."""
    base = f"/v1/models/{spec.model}"
    if spec.version is not None:
        base += f"/versions/{spec.version}"
    elif spec.label is not None:
        base += f"/labels/{spec.label}"
    return base + verb


def predict_body(
    inputs: Mapping[str, np.ndarray], signature_name: str, signature: ServedSignature | None
) -> bytes:
    """Returns the columnar JSON body of a predict call; a signature's only input has no name."""
    if signature is not None and len(inputs) == 1 and inputs.keys() == signature.inputs.keys():
        (array,) = inputs.values()
        return json_tensors.dumps(array, signature_name=signature_name)
    return json_tensors.dumps(inputs, signature_name=signature_name)


def read_outputs(answer: Any, signature: ServedSignature | None) -> dict[str, np.ndarray]:
    """Converts a predict call's parsed answer to arrays by output name.

    An answer with one output doesn't name it: the signature does, or else it is `UNNAMED`.

    Raises:
        UnlikeSignature: the answer's outputs aren't those of the signature, or their values don't
            fit its dtypes.
    """
    outputs = answer["outputs"]
    if signature is None:
        if not isinstance(outputs, dict) or _is_bytes(outputs):
            outputs = {UNNAMED: outputs}
        return {name: json_tensors.from_json(value, None) for name, value in outputs.items()}
    specs = signature.outputs
    if len(specs) == 1 and (not isinstance(outputs, dict) or _is_bytes(outputs)):
        outputs = {next(iter(specs)): outputs}
    if not isinstance(outputs, dict):
        raise UnlikeSignature(f"an output without a name, where there are {', '.join(specs)}")
    if outputs.keys() != specs.keys():
        raise UnlikeSignature(f"outputs {', '.join(outputs)}, where there are {', '.join(specs)}")
    try:
        return {name: json_tensors.from_json(v, specs[name]) for name, v in outputs.items()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UnlikeSignature(str(error)) from None


class RestCodec:
    """The API's requests and answers; see `client.codec.Codec`."""

    names_outputs = False

    def __init__(self, server: str):
        """Takes the server's name for errors."""
        self._replies = Replies(server, "TensorFlow Serving's REST API")

    def predict(
        self,
        spec: ModelSpec,
        inputs: Mapping[str, np.ndarray],
        signature_name: str,
        signature: ServedSignature | None,
    ) -> HttpExchange[Predicted]:
        """Returns a predict call."""

        def read(reply: HttpReply) -> Predicted:
            answer = self._replies.parse(reply)
            if "outputs" not in answer:
                raise self._replies.other_api("no outputs")
            is_large = len(reply.content) > _LARGE
            return Predicted(_version(reply), lambda known: read_outputs(answer, known), is_large)

        return HttpExchange(
            path(spec, ":predict"),
            read,
            lambda: HttpBody(predict_body(inputs, signature_name, signature), JSON),
        )

    def classify(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
    ) -> HttpExchange[Classification]:
        """Returns a classify call."""

        def read(results: Any, version: int | None) -> Classification:
            found = [[(str(label), float(score)) for label, score in each] for each in results]
            return Classification(found, version)

        return self._about_examples(spec, ":classify", examples, context, signature_name, read)

    def regress(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
    ) -> HttpExchange[Regression]:
        """Returns a regress call."""

        def read(results: Any, version: int | None) -> Regression:
            return Regression(np.array(results, np.float32), version)

        return self._about_examples(spec, ":regress", examples, context, signature_name, read)

    def status(self, spec: ModelSpec) -> HttpExchange[list[VersionStatus]]:
        """Returns the question for the states of a model's versions."""

        def read(reply: HttpReply) -> list[VersionStatus]:
            answer = self._replies.parse(reply)
            try:
                return [
                    VersionStatus(
                        int(entry["version"]),
                        entry["state"],
                        entry.get("status", {}).get("error_message", ""),
                    )
                    for entry in answer["model_version_status"]
                ]
            except _NOT_OURS:
                raise self._replies.other_api("no states of versions") from None

        return HttpExchange(path(spec), read)

    def describe(self, spec: ModelSpec) -> HttpExchange[Description]:
        """Returns the question for a version's signatures."""

        def read(reply: HttpReply) -> Description:
            answer = self._replies.parse(reply)
            try:
                found = answer["metadata"]["signature_def"]["signature_def"]
                signatures = {name: signature.from_json(value) for name, value in found.items()}
                # Source: get_model_metadata_impl.cc, which names the version that it describes.
                version = answer.get("model_spec", {}).get("version")
                number = spec.version if version is None else int(version)
            except _NOT_OURS:
                raise self._replies.other_api("no signatures") from None
            return Description(number, signatures)

        return HttpExchange(path(spec, "/metadata"), read)

    def _about_examples(
        self,
        spec: ModelSpec,
        verb: str,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
        convert: Callable[[Any, int | None], Read],
    ) -> HttpExchange[Read]:
        body: dict[str, Any] = {"examples": [json_tensors.example_to_json(e) for e in examples]}
        if context:
            body["context"] = json_tensors.example_to_json(context)
        if signature_name:
            body["signature_name"] = signature_name

        def read(reply: HttpReply) -> Read:
            answer = self._replies.parse(reply)
            version = _version(reply)
            try:
                return convert(answer["results"], spec.version if version is None else version)
            except _NOT_OURS:
                raise self._replies.other_api("no results") from None

        return HttpExchange(
            path(spec, verb), read, lambda: HttpBody(json.dumps(body).encode(), JSON)
        )


def _version(reply: HttpReply) -> int | None:
    text = reply.headers.get(VERSION_HEADER, "")
    return int(text) if text.isdecimal() else None


def _is_bytes(value: dict[str, Any]) -> bool:
    return value.keys() == {"b64"} and isinstance(value["b64"], str)
