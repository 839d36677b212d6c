"""The Open Inference Protocol's REST API, tensors as binary data or as JSON.

Sources: kserve/open-inference-protocol, specification/protocol/inference_rest.md;
triton-inference-server/server, docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from client.codec import Description, HttpBody, HttpExchange, HttpReply, Predicted
from client.model_spec import ModelSpec
from client.open_inference import (
    SIGNATURE_PARAMETER,
    WithoutExamples,
    array_spec,
    datatype_of,
    description,
    from_json,
    new_id,
    read_answer,
    statuses,
    to_json,
    version_number,
    version_text,
)
from client.replies import Replies
from client.results import VersionStatus
from client.signature import DEFAULT, ArraySpec, ServedSignature
from wire import datatypes, raw_tensors

HEADER_LENGTH = "Inference-Header-Content-Length"
_SIZE = "binary_data_size"


def path(spec: ModelSpec, verb: str = "") -> str:
    """Returns the path of a model or a version, with a verb such as `/infer`."""
    version = version_text(spec)
    return f"/v2/models/{spec.model}" + (f"/versions/{version}" if version else "") + verb


def infer_body(
    inputs: Mapping[str, np.ndarray], signature_name: str, *, is_binary: bool = True
) -> HttpBody:
    """Returns an inference request.

    Args:
        inputs: Arrays by name.
        signature_name: Sent where it isn't the default.
        is_binary: Send arrays as binary data, and ask for such answers; not every server can. Else
            all is JSON.

    Raises:
        ValueError: the protocol has no data type for an input, or JSON can't carry it.
    """
    parameters: dict[str, Any] = {"binary_data_output": True} if is_binary else {}
    if signature_name != DEFAULT:
        parameters[SIGNATURE_PARAMETER] = signature_name
    tensors: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    for name, array in inputs.items():
        tensor: dict[str, Any] = {
            "name": name,
            "datatype": datatype_of(name, array),
            "shape": array.shape,
        }
        if is_binary:
            pieces.append(raw_tensors.from_array(array))
            tensor["parameters"] = {_SIZE: len(pieces[-1])}
        else:
            tensor["data"] = to_json(name, array)
        tensors.append(tensor)
    document: dict[str, Any] = {"id": new_id(), "inputs": tensors}
    if parameters:
        document["parameters"] = parameters
    if not is_binary:  # json writes NaN and infinities bare
        return HttpBody(json.dumps(document).encode(), {"Content-Type": "application/json"})
    head = orjson.dumps(document)
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return HttpBody(b"".join((head, *pieces)), headers)


def read_outputs(content: bytes, size: int | None = None) -> dict[str, np.ndarray]:
    """Returns the outputs that an answer holds.

    Args:
        content: JSON, and behind it binary data.
        size: Bytes of JSON; None: to where its object ends.

    Raises:
        ValueError: it is no such answer. KeyError, TypeError: so is this.
    """
    if size is None:
        text = content.decode("latin-1")  # a byte a character, whatever is behind the JSON
        size = json.JSONDecoder().raw_decode(text)[1]
    return _outputs(orjson.loads(content[:size]), memoryview(content)[size:])


class V2RestCodec(WithoutExamples):
    """The API's requests and answers; see `client.codec.Codec`."""

    names_outputs = True
    is_binary = True  # how arrays are sent

    def __init__(self, server: str):
        """Takes the server's name for errors."""
        self._replies = Replies(server, "the Open Inference Protocol")

    def predict(
        self,
        spec: ModelSpec,
        inputs: Mapping[str, np.ndarray],
        signature_name: str,
        signature: ServedSignature | None,
    ) -> HttpExchange[Predicted]:
        """Returns a predict call."""

        def read(reply: HttpReply) -> Predicted:
            length = reply.headers.get(HEADER_LENGTH.lower())
            size = int(length) if length is not None and length.isdecimal() else None
            answer = self._replies.parse(reply, size)
            if "outputs" not in answer:
                raise self._replies.other_api("no outputs")
            version = version_number(answer.get("model_version"))
            binary = memoryview(reply.content)[size if size is not None else len(reply.content) :]
            return Predicted(
                spec.version if version is None else version,
                lambda _: read_answer(lambda: _outputs(answer, binary)),
            )

        def encode() -> HttpBody:
            return infer_body(inputs, signature_name, is_binary=self.is_binary)

        return HttpExchange(path(spec, "/infer"), read, encode)

    def status(self, spec: ModelSpec) -> HttpExchange[list[VersionStatus]]:
        """Returns the question for the versions of a model that answer."""

        def read(reply: HttpReply) -> list[VersionStatus]:
            answer = self._replies.parse(reply)
            return statuses(spec, answer.get("versions") or (), answer.get("properties") or {})

        return HttpExchange(path(spec), read)

    def describe(self, spec: ModelSpec) -> HttpExchange[Description]:
        """Returns the question for a version's inputs and outputs."""

        def read(reply: HttpReply) -> Description:
            answer = self._replies.parse(reply)
            return read_answer(
                lambda: description(
                    spec,
                    answer.get("versions") or (),
                    _specs(answer.get("inputs") or ()),
                    _specs(answer.get("outputs") or ()),
                    answer.get("properties") or {},
                )
            )

        return HttpExchange(path(spec), read)


class V2JsonCodec(V2RestCodec):
    """The same without binary data, for servers that take none, such as MLServer."""

    is_binary = False


def _outputs(answer: Mapping[str, Any], binary: memoryview) -> dict[str, np.ndarray]:
    found = {}
    for output in answer["outputs"]:
        name, shape = output["name"], output["shape"]
        dtype_name = datatypes.dtype_name(output["datatype"])
        size = (output.get("parameters") or {}).get(_SIZE)
        if size is None:
            found[name] = from_json(output["data"], dtype_name, shape)
        else:
            found[name] = raw_tensors.to_array(binary[:size], dtype_name, shape)
            binary = binary[size:]
    return found


def _specs(tensors: Sequence[Mapping[str, Any]]) -> dict[str, ArraySpec]:
    return {tensor["name"]: array_spec(tensor["datatype"], tensor["shape"]) for tensor in tensors}
