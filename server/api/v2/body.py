"""An inference request by REST: JSON, and behind it the tensors that are sent as binary data.

Sources: kserve/open-inference-protocol, specification/protocol/inference_rest.md;
triton-inference-server/server, docs/protocol/extension_binary_data.md and src/http_server.cc.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from server.api.tfs_rest import pieces
from server.api.tfs_rest.numbers import Numbers
from server.api.tfs_rest.pieces import Span
from server.api.v2 import inputs, json_tensors, long_json, plain
from server.api.v2.inputs import Input
from server.engines.signatures import ModelSignature
from server.errors import invalid
from server.inference.offload import LONG
from wire import datatypes, raw_tensors
from wire.tensors import TensorError

HEADER_LENGTH = "Inference-Header-Content-Length"
BINARY_SIZE = "binary_data_size"


@dataclass(slots=True)
class InferBody:
    """What a request's body says.

    Attributes:
        id: None where it has none.
        signature: Empty for the default.
        inputs: Their values unread; None where the body is the bare bytes of the only input.
        is_binary: Whether an output comes as binary data, by the names of those that are asked for;
            without any, all are.
        is_binary_by_default: The same for outputs that nothing is said of.
        bare: The bytes of the only input.
        is_long: Its values take so long to read that the event loop shouldn't.
    """

    id: str | None = None
    signature: str = ""
    inputs: Sequence[Input] | None = None
    is_binary: Mapping[str, bool] = field(default_factory=dict)
    is_binary_by_default: bool = True
    bare: bytes | bytearray = b""
    is_long: bool = False

    def arrays(self, signature: ModelSignature) -> dict[str, np.ndarray]:
        """Returns the inputs in the signature's dtypes.

        Raises:
            ServingError: INVALID_ARGUMENT, they aren't the signature's.
        """
        found = [_bare_input(signature, self.bare)] if self.inputs is None else self.inputs
        return inputs.read_all(signature, found)


def read_plain(body: bytes) -> InferBody | None:
    """Reads a body without binary data whose data are plain numbers; None where they aren't.

    Raises:
        ServingError: as `read`.
    """
    document = plain.parse(body)
    return None if document is None else _read(document, memoryview(b""), len(body))


def read(body: bytes | bytearray, header_length: str | None) -> InferBody:
    """Reads a body as far as that takes no model.

    Args:
        body: JSON, and binary data.
        header_length: The value of the header `Inference-Header-Content-Length`; None without it:
            all is JSON. 0: none is.

    Raises:
        ServingError: INVALID_ARGUMENT, it can't be read; UNIMPLEMENTED, it asks for an extension
            that isn't supported.
    """
    size = len(body) if header_length is None else _length(header_length, len(body))
    if header_length is not None and not size:
        return InferBody(bare=body)
    document = _parse(body if size == len(body) else body[:size])
    return _read(document, memoryview(body)[size:], size)


def _read(document: Mapping[str, Any], binary: memoryview, size: int) -> InferBody:
    """Reads a document and the binary data behind its `size` bytes."""
    parameters = _object(document.get("parameters") or {}, "parameters")
    is_binary = _flag(parameters, "binary_data_output", default=False)
    found, rest = _inputs(document, binary)
    if rest:
        raise invalid(f"{len(rest)} bytes of binary data belong to no input")
    has_bytes = any(one.datatype in inputs.LOOKED_AT for one in found)
    return InferBody(
        _id(document),
        inputs.signature_name(parameters),
        found,
        _outputs(document, is_binary),
        is_binary,
        is_long=(size + len(binary) if has_bytes else size) > LONG and not _is_plain(document),
    )


def _is_plain(document: Mapping[str, Any]) -> bool:
    listed = document.get("inputs")
    return isinstance(listed, list) and any(
        isinstance(tensor, dict) and isinstance(tensor.get("data"), Numbers) for tensor in listed
    )


def _length(text: str, size: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > size:
        raise invalid(f"{HEADER_LENGTH} is {text}; it must be a number of at most {size} bytes")
    return int(text)


def _parse(text: bytes | bytearray) -> Mapping[str, Any]:
    if not text:
        raise invalid("the request has no body")
    if len(text) > pieces.LONG:
        return pieces.read(text)
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            document = json.loads(text)  # which takes NaN and Infinity, as Triton's parser does
        except (ValueError, RecursionError):
            raise invalid(f"the request is not JSON: {error}") from None
    return _object(document, "the request")


def _id(document: Mapping[str, Any]) -> str | None:
    found = document.get("id")
    if found is None or isinstance(found, str):
        return found
    raise invalid("id must be a string")


def _inputs(document: Mapping[str, Any], binary: memoryview) -> tuple[list[Input], memoryview]:
    """Returns the inputs, and the binary data behind those of the last one."""
    listed = document.get("inputs")
    if isinstance(listed, Span) and listed.is_list:
        listed = long_json.elements(listed)
    if not isinstance(listed, list):
        raise invalid("inputs must be a list of tensors")
    found = []
    for index, entry in enumerate(listed):
        where = f"inputs[{index}]"
        is_long = isinstance(entry, Span) and not entry.is_list
        tensor = _object(dict(entry.members()) if is_long else entry, where)
        name, shape = _text(tensor, "name", where), _shape(tensor, where)
        parameters = _object(tensor.get("parameters") or {}, f"{where}.parameters")
        inputs.refuse_unsupported(name, parameters)
        size = parameters.get(BINARY_SIZE)
        if size is None:
            if tensor.get("data") is None:
                raise invalid(f"input {name} has neither data nor {BINARY_SIZE}")
            read = functools.partial(json_tensors.to_array, tensor["data"], shape=shape)
        else:
            if not _is_size(size) or size > len(binary):
                raise invalid(
                    f"input {name}: {BINARY_SIZE} is {size}; {len(binary)} bytes of binary data "
                    "follow the JSON, or the inputs before"
                )
            if tensor.get("data") not in (None, []):
                raise invalid(f"input {name} has both data and {BINARY_SIZE}")
            read = functools.partial(raw_tensors.to_array, binary[:size], shape=shape)
            binary = binary[size:]
        found.append(Input(name, _text(tensor, "datatype", where), shape, read))
    return found, binary


def _outputs(document: Mapping[str, Any], is_binary: bool) -> dict[str, bool]:
    listed = document.get("outputs")
    if listed is None:
        return {}
    if not isinstance(listed, list):
        raise invalid("outputs must be a list of tensors")
    found: dict[str, bool] = {}
    for index, entry in enumerate(listed):
        where = f"outputs[{index}]"
        tensor = _object(entry, where)
        name = _text(tensor, "name", where)
        if name in found:
            raise invalid(f"output {name} is asked for twice")
        parameters = _object(tensor.get("parameters") or {}, f"{where}.parameters")
        inputs.refuse_unsupported(name, parameters)
        found[name] = _flag(parameters, "binary_data", default=is_binary)
    return found


def _bare_input(signature: ModelSignature, data: bytes | bytearray) -> Input:
    """Returns the only input of a request without JSON, whose shape the number of bytes tells."""
    if len(signature.inputs) != 1:
        raise invalid(
            f"a body without JSON is for signatures with one input; {signature.name} has "
            f"{len(signature.inputs)}"
        )
    ((name, tensor),) = signature.inputs.items()
    datatype = inputs.datatype_of(tensor)
    if tensor.shape is None or tensor.shape.count(-1) > 1:
        raise invalid(f"the shape of input {name} doesn't follow from its bytes; send it as JSON")
    if datatype == datatypes.BYTES:
        shape = [1 if size == -1 else size for size in tensor.shape]
        return Input(name, datatype, shape, functools.partial(_only_string, data, shape))
    unit = math.prod(size for size in tensor.shape if size != -1) * tensor.numpy_dtype.itemsize
    shape = [(len(data) // unit if unit else 0) if s == -1 else s for s in tensor.shape]
    read = functools.partial(raw_tensors.to_array, memoryview(data), shape=shape)
    return Input(name, datatype, shape, read)


def _only_string(data: bytes | bytearray, shape: Sequence[int], dtype_name: str) -> np.ndarray:
    if math.prod(shape) != 1:
        raise TensorError(f"a body without JSON is one {dtype_name}; shape {shape} has more")
    array = np.empty(1, object)
    array[0] = bytes(data)
    return array.reshape(shape)


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{what} must be a JSON object")
    return value


def _text(tensor: Mapping[str, Any], key: str, where: str) -> str:
    value = tensor.get(key)
    if not isinstance(value, str) or not value:
        raise invalid(f"{where}.{key} must be a string that isn't empty")
    return value


def _shape(tensor: Mapping[str, Any], where: str) -> list[int]:
    value = tensor.get("shape")
    if not isinstance(value, list) or not all(map(_is_size, value)):
        raise invalid(f"{where}.shape must be a list of whole numbers that aren't negative")
    return value


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _flag(parameters: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise invalid(f"parameter {key} must be true or false")
    return value
