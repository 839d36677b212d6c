"""A model server's REST API.

Source: https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from artifact.manifest import SignatureRecord, Tensor
from exporter.inspect.remote.server import Arrays, Refusal, Unreachable, VersionState
from wire import dtypes


class Rest:
    """A server's REST port."""

    api = "REST"

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout)

    def states(self, model: str) -> list[VersionState]:
        """See `Server`."""
        answer = self._request("GET", f"/v1/models/{model}")
        return [
            VersionState(
                int(entry["version"]), entry["state"], entry["status"].get("error_message", "")
            )
            for entry in answer["model_version_status"]
        ]

    def tensors(self, model: str, version: int) -> Mapping[str, SignatureRecord]:
        """See `Server`."""
        answer = self._request("GET", f"/v1/models/{model}/versions/{version}/metadata")
        found = answer["metadata"]["signature_def"]["signature_def"]
        return {
            name: SignatureRecord(
                _tensors(entry.get("inputs", {})),
                _tensors(entry.get("outputs", {})),
                entry.get("method_name", ""),
            )
            for name, entry in found.items()
        }

    def predict(
        self, model: str, version: int, signature: str, inputs: Arrays, outputs: Mapping[str, str]
    ) -> Arrays:
        """See `Server`."""
        body = {
            "signature_name": signature,
            "inputs": {name: _to_json(name, array) for name, array in inputs.items()},
        }
        path = f"/v1/models/{model}/versions/{version}:predict"
        found = self._request("POST", path, json.dumps(body))["outputs"]
        columns = found if len(outputs) > 1 else dict.fromkeys(outputs, found)
        return {name: _from_json(columns[name], dtype) for name, dtype in outputs.items()}

    def _request(self, method: str, path: str, body: str | None = None) -> Any:
        try:
            self._connection.request(method, path, body)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unreachable(str(error) or type(error).__name__) from None
        try:
            answer = json.loads(text)
        except ValueError:
            raise Unreachable(f"{response.status} without JSON: no model server") from None
        if response.status != 200:
            raise Refusal(str(answer.get("error", answer) if isinstance(answer, dict) else answer))
        return answer


def _tensors(entries: Mapping[str, Any]) -> dict[str, Tensor]:
    found = {}
    for name, entry in entries.items():
        dims = entry.get("tensor_shape", {}).get("dim", [])
        sizes = [int(dim.get("size", 0)) for dim in dims]
        shape = tuple(None if size < 0 else size for size in sizes)
        found[name] = Tensor(shape, dtypes.from_enum_name(entry["dtype"]))
    return found


def _to_json(name: str, array: np.ndarray) -> Any:
    if array.dtype.kind == "O":
        return _each(array.tolist(), lambda data: {"b64": base64.b64encode(data).decode()})
    if array.dtype.kind == "c":
        raise Refusal(f"input {name} is {array.dtype}, for which the REST API's JSON has no form")
    return array.astype(np.float32).tolist() if array.dtype.kind == "V" else array.tolist()


def _from_json(value: Any, dtype: str) -> np.ndarray:
    if dtype != "string":
        return np.array(value).astype(dtypes.numpy_dtype(dtype))
    array = np.array(value, object)
    strings = np.empty(array.size, object)
    strings[:] = [
        base64.b64decode(item["b64"]) if isinstance(item, dict) else item.encode()
        for item in array.ravel()
    ]
    return strings.reshape(array.shape)


def _each(value: Any, function: Any) -> Any:
    return [_each(item, function) for item in value] if isinstance(value, list) else function(value)
