"""Status and metadata as JSON: protobuf's mapping with defaults printed.

Source: tensorflow_serving/model_servers/http_rest_api_util.cc.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from server.errors import Code
from server.models.servable import Servable
from server.models.version import Version
from wire import dtypes, tensors
from wire import serving_pb2 as pb


def status(versions: Iterable[Version]) -> bytes:
    """Renders GetModelStatusResponse."""
    return _dump({"model_version_status": [_version(version) for version in versions]})


def metadata(servable: Servable) -> bytes:
    """Renders GetModelMetadataResponse as the official server puts it together."""
    spec = _dump(
        {"name": servable.name, "signature_name": "", "version": str(servable.version)}
    ).decode()
    found = servable.metadata.signature_def
    signatures = _dump(
        {"signature_def": {name: _signature(found[name]) for name in sorted(found)}}
    ).decode()
    return (
        f'{{\n"model_spec":{spec},\n"metadata": {{"signature_def": {signatures}}}\n}}\n'
    ).encode()


def _version(version: Version) -> dict[str, Any]:
    error = version.error
    return {
        "version": str(version.number),
        "state": version.state.name,
        "status": {
            "error_code": (error.code if error else Code.OK).name,
            "error_message": error.message if error else "",
        },
    }


def _signature(message: pb.SignatureDef) -> dict[str, Any]:
    return {
        "inputs": {name: _tensor(message.inputs[name]) for name in sorted(message.inputs)},
        "outputs": {name: _tensor(message.outputs[name]) for name in sorted(message.outputs)},
        "method_name": message.method_name,
        "defaults": {name: _value(message.defaults[name]) for name in sorted(message.defaults)},
    }


def _value(message: pb.TensorProto) -> dict[str, Any]:
    array = tensors.to_array(message)
    found = {"dtype": dtypes.enum_name(message.dtype), "tensor_shape": _shape(message.tensor_shape)}
    if array.dtype.kind == "O":
        values = [base64.b64encode(value).decode() for value in array.ravel()]
        return found | {"string_val": values}
    return found | {"tensor_content": base64.b64encode(array.tobytes()).decode()}


def _tensor(message: pb.TensorInfo) -> dict[str, Any]:
    return {
        "dtype": dtypes.enum_name(message.dtype),
        "tensor_shape": _shape(message.tensor_shape),
        "name": message.name,
    }


def _shape(message: pb.TensorShapeProto) -> dict[str, Any]:
    return {
        "dim": [{"size": str(dim.size), "name": dim.name} for dim in message.dim],
        "unknown_rank": message.unknown_rank,
    }


def _dump(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode(errors="replace")
