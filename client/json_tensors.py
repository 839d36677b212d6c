"""Arrays to and from the JSON of TensorFlow Serving's REST API."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from client.arrays import to_array
from client.signature import ArraySpec
from wire import dtypes


def dumps(inputs: Mapping[str, np.ndarray] | np.ndarray, **fields: Any) -> bytes:
    """Renders arrays by name, or one array, as the field `inputs` behind other fields.

    Raises:
        ValueError: a dtype has no place in the REST API (complex numbers, for example); says of
            which input.
    """
    body: dict[str, Any] = {**fields, "inputs": inputs}
    arrays = [inputs] if isinstance(inputs, np.ndarray) else inputs.values()
    if all(_is_plain(array) for array in arrays):
        # float32 in as few digits as tell it from its neighbours, without a Python object each
        return orjson.dumps(body, default=to_json, option=orjson.OPT_SERIALIZE_NUMPY)
    if not isinstance(inputs, np.ndarray):
        body["inputs"] = {name: _input_to_json(name, array) for name, array in inputs.items()}
    return json.dumps(body, default=to_json).encode()  # which writes NaN and Infinity bare


def to_json(array: np.ndarray) -> Any:
    """Converts an array to nested lists; NaN and infinities stay floats, bytes become base64.

    Raises:
        ValueError: the dtype has no place in the REST API (complex numbers, for example).
    """
    if array.dtype.kind in "OSU":
        return _map_leaves(array.tolist(), _string_to_json)
    if array.dtype.kind in "biuf":
        return array.tolist()
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32).tolist()
    raise ValueError(f"{array.dtype.name} can't be sent over REST; use gRPC")


def from_json(value: Any, spec: ArraySpec | None) -> np.ndarray:
    """Converts an output.

    Args:
        value: Nested lists, or one value.
        spec: The output's dtype and shape from the signature; without it numbers come as bool,
            int64 or float64.

    Returns:
        The array; strings are bytes in an object array.
    """
    if spec is None:
        array = np.array(value)
        return _strings(value) if array.dtype.kind in "OSU" else array
    if spec.dtype == "string":
        array = _strings(value)
    else:
        array = np.array(value, dtypes.numpy_dtype(spec.dtype))
    if array.size == 0 and spec.shape is not None:  # JSON's [] forgets the axes behind the batch
        return array.reshape([max(size, 0) for size in spec.shape])
    return array


def example_to_json(example: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the features of one example for classify and regress."""
    return {name: to_json(to_array(value)) for name, value in example.items()}


def _input_to_json(name: str, array: np.ndarray) -> Any:
    try:
        return to_json(array)
    except ValueError as error:
        raise ValueError(f"input {name}: {error}") from None


def _is_plain(array: np.ndarray) -> bool:
    kind = array.dtype.kind
    return kind in "biu" or (kind == "f" and bool(np.isfinite(array).all()))


def _strings(value: Any) -> np.ndarray:
    array = np.array(value, object)
    flat = [_json_to_bytes(leaf) for leaf in array.ravel().tolist()]
    strings = np.empty(len(flat), object)
    strings[:] = flat
    return strings.reshape(array.shape)


def _json_to_bytes(leaf: Any) -> bytes:
    if isinstance(leaf, dict):
        return base64.b64decode(leaf["b64"])
    return str(leaf).encode()


def _string_to_json(leaf: Any) -> Any:
    return {"b64": base64.b64encode(leaf).decode()} if isinstance(leaf, bytes) else str(leaf)


def _map_leaves(value: Any, function: Any) -> Any:
    if isinstance(value, list):
        return [_map_leaves(item, function) for item in value]
    return function(value)
