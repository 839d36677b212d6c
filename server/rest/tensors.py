"""JSON values to tensors, in TensorFlow Serving's rules.

Source: tensorflow_serving/util/json_tensor.cc. Lists of plain numbers are converted as a whole;
whatever isn't clear-cut there goes value by value, which also finds the official error.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from server.errors import Code, ServingError, invalid
from server.inference import dtype_string
from server.rest import document, numbers
from server.signatures import Signature, Tensor
from wire import dtypes

_MAX_RANK = 64  # NumPy's limit
_FLOATS = {"float32": 24, "float64": 53, "float16": 24, "bfloat16": 24}  # bits of a mantissa
# What a value may be, by dtype; TensorFlow then keeps the low bits of the narrow ones.
_INTEGERS = {
    "int8": (-(2**31), 2**31 - 1),
    "uint8": (-(2**31), 2**31 - 1),
    "int16": (-(2**31), 2**31 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


def predict_inputs(
    body: Mapping[str, Any], signature: Signature
) -> tuple[dict[str, np.ndarray], bool]:
    """Reads the inputs of a predict request, and whether they came in row format.

    Raises:
        ServingError: INVALID_ARGUMENT with the official text.
    """
    if isinstance(body, numbers.Envelope):
        if (array := _only_input(body, signature)) is not None:
            return array, "instances" in body
        body = body.plain()
    if not signature.inputs:
        raise invalid(f"Failed to get input map for signature: {signature.name}")
    if "instances" in body:
        if "inputs" in body:
            raise _format_error(
                body,
                "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to "
                "exist ",
            )
        instances = body["instances"]
        if not isinstance(instances, list):
            raise _format_error(body, "Excepting 'instances' to be an list/array")
        if not instances:
            raise _format_error(body, "No values in 'instances' array")
        return _rows(instances, signature), True
    if "inputs" in body:
        return _columns(body["inputs"], signature), False
    raise invalid("Missing 'inputs' or 'instances' key")


def _only_input(body: numbers.Envelope, signature: Signature) -> dict[str, np.ndarray] | None:
    """Returns an envelope's array as the signature's only input; None where that isn't clear."""
    if len(signature.inputs) != 1 or ("instances" in body) == ("inputs" in body):
        return None
    ((name, tensor),) = signature.inputs.items()
    array = _of_dtype(body.array, tensor)
    return None if array is None else {name: array}


def always_taken(dtype_name: str) -> tuple[int, int]:
    """Returns the range in which a numeric dtype takes any number, whole or not."""
    if dtype_name in _FLOATS:
        return 1 - 2 ** _FLOATS[dtype_name], 2 ** _FLOATS[dtype_name] - 1
    return _INTEGERS[dtype_name]


def decode_base64(value: Any) -> bytes:
    """Decodes `{"b64": "…"}`; padding may be missing, as absl's decoder has it.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    if not is_base64(value):
        raise invalid(f"JSON Value: {document.text(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split()).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def is_base64(value: Any) -> bool:
    """Tells whether a value is an object with a `b64` string alone."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get("b64"), str)
        and not isinstance(value, document.Repeated)
    )


def _rows(instances: list[Any], signature: Signature) -> dict[str, np.ndarray]:
    inputs, optional = signature.inputs, signature.defaults.keys()
    first = instances[0]
    if not isinstance(first, dict) and len(inputs) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    if not _is_named(first):
        name, tensor = next(iter(inputs.items()))
        return {name: _stack(instances, tensor, lambda i: _plain_row(instances[i], i))}
    arrays = {}
    for index, row in enumerate(instances):
        if not _is_named(row):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        missing = inputs.keys() - row.keys() - optional
        if missing or row.keys() - inputs.keys() or isinstance(row, document.Repeated):
            _check_row_values(row, index, inputs)
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{document.text(row)} must only have keys: {','.join(sorted(inputs))}"
            )
    for name, tensor in inputs.items():
        values = [row[name] for row in instances if name in row]
        if not values:
            continue
        if len(values) < len(instances):
            raise invalid(f"input {name} is given in {len(values)} of {len(instances)} instances")
        arrays[name] = _stack(values, tensor, lambda i: None, f" key: {name}")
    return arrays


def _plain_row(row: Any, index: int) -> None:
    if _is_named(row):
        raise invalid(f"Expecting value/list but got object at item {index} of input list")


def _check_row_values(row: Mapping[str, Any], index: int, inputs: Mapping[str, Tensor]) -> None:
    for name, value in row.items():
        error = None
        if name not in inputs:
            error = invalid(f"JSON object: does not have named input: {name}")
        else:
            try:
                _dense(value, inputs[name])
            except ServingError as found:
                error = found
        if error:
            raise _element_error(index, f" key: {name}", error)


def _stack(
    values: list[Any], tensor: Tensor, check: Callable[[int], None], key: str = ""
) -> np.ndarray:
    """Returns the values as one tensor, each an entry of the leading axis, all of one shape."""
    array = _numbers(values, tensor)
    if array is not None:
        return array
    rows: list[np.ndarray] = []
    for index, value in enumerate(values):
        check(index)
        try:
            row = _dense(value, tensor)
            if rows and row.size != rows[0].size:
                raise invalid(f"Expecting tensor size: {rows[0].size} but got: {row.size}")
            if rows and row.shape != rows[0].shape:
                raise invalid(f"Expecting shape {_shape(rows[0])} but got: {_shape(row)}")
        except ServingError as error:
            raise _element_error(index, key, error) from None
        rows.append(row)
    if rows[0].ndim >= _MAX_RANK:
        raise _too_deep(rows[0].ndim + 1)
    return np.stack(rows)


def _columns(value: Any, signature: Signature) -> dict[str, np.ndarray]:
    inputs = signature.inputs
    if not _is_named(value):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        name, tensor = next(iter(inputs.items()))
        return {name: _dense(value, tensor)}
    arrays = {}
    for name, tensor in inputs.items():
        if name not in value and name in signature.defaults:
            continue
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = _dense(value[name], tensor)
    return arrays


def _dense(value: Any, tensor: Tensor) -> np.ndarray:
    array = _numbers(value, tensor)
    if array is not None:
        return array
    dtype_name = _dtype_name(tensor, value)
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        if not inner:
            break
        inner = inner[0]
    if len(shape) > _MAX_RANK:
        raise _too_deep(len(shape))
    values: list[Any] = []
    _fill(value, 0, shape, dtype_name, values)
    if dtype_name in _INTEGERS:
        wide = np.uint64 if dtype_name == "uint64" else np.int64
        return np.array(values, wide).astype(dtypes.numpy_dtype(dtype_name)).reshape(shape)
    array = np.empty(len(values), dtypes.numpy_dtype(dtype_name))
    with np.errstate(over="ignore"):  # beyond float16 is infinite, as in TensorFlow
        array[:] = values
    return array.reshape(shape)


def _fill(value: Any, level: int, shape: list[int], dtype_name: str, into: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid(
                f"JSON Value: {document.text(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {rank}"
            )
        into.append(_convert(value, dtype_name))
        return
    if level >= rank:
        raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, dtype_name, into)


def _convert(value: Any, dtype_name: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if dtype_name == "string":
        if isinstance(value, dict):
            return decode_base64(value)
        if isinstance(value, str):
            return value.encode(errors="surrogateescape")
    elif dtype_name == "bool":
        if isinstance(value, bool):
            return value
    elif dtype_name in _INTEGERS:
        low, high = _INTEGERS[dtype_name]
        if is_number and isinstance(value, int) and low <= value <= high:
            return value
    elif dtype_name in _FLOATS and is_number:
        if not _is_lossless(value, dtype_name):
            target = "double" if dtype_name == "float64" else "float"
            raise invalid(
                f"Cannot convert JSON value: {document.text(value)} to {target} "
                "without loss of precision."
            )
        return value
    raise invalid(
        f"JSON Value: {document.text(value)} Type: {document.kind(value)} is not of expected "
        f"type: {dtype_string(dtypes.number(dtype_name))}"
    )


def _is_lossless(value: int | float, dtype_name: str) -> bool:
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return abs(value) < 2 ** _FLOATS[dtype_name]
    if not math.isfinite(value) or dtype_name == "float64":
        return True
    return abs(value) <= float(np.finfo(np.float32).max)


def _numbers(value: Any, tensor: Tensor) -> np.ndarray | None:
    """Converts a list of plain numbers as a whole; None where value by value is needed."""
    if not isinstance(value, list):
        return None
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return None
    if array.dtype.kind not in "if" or _has_bool(value):
        return None
    return _of_dtype(array, tensor)


def _of_dtype(array: np.ndarray, tensor: Tensor) -> np.ndarray | None:
    """Converts int64 or float64 numbers to a tensor's dtype; None if one may not fit."""
    try:
        name = dtypes.name(tensor.dtype)
    except ValueError:
        return None
    if name in _FLOATS:
        limit = 2 ** _FLOATS[name] - 1
        if array.size and not (-limit <= array.min() and array.max() <= limit):
            return None
        with np.errstate(over="ignore"):  # beyond float16 is infinite, as in TensorFlow
            return array.astype(dtypes.numpy_dtype(name))
    if name in _INTEGERS and array.dtype.kind == "i":
        low, high = _INTEGERS[name]
        if array.size and not (low <= int(array.min()) and int(array.max()) <= high):
            return None
        return array.astype(dtypes.numpy_dtype(name))
    return None


def _has_bool(value: list[Any]) -> bool:
    """Tells whether a nested list of numbers holds True or False, which NumPy takes for 1 and 0."""
    if value and isinstance(value[0], list):
        return any(map(_has_bool, value))
    return bool in set(map(type, value))


def _dtype_name(tensor: Tensor, value: Any) -> str:
    try:
        name = dtypes.name(tensor.dtype)
    except ValueError:
        name = ""
    if name in _FLOATS or name in _INTEGERS or name in ("string", "bool"):
        return name
    raise ServingError(
        Code.UNIMPLEMENTED,
        f"Conversion of JSON Value: {document.text(value)} to type: {dtype_string(tensor.dtype)}",
    )


def _too_deep(rank: int) -> ServingError:
    return invalid(f"Encountered {rank} nested lists; a tensor has at most {_MAX_RANK}")


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _format_error(body: Mapping[str, Any], problem: str) -> ServingError:
    return invalid(f"JSON Value: {document.text(body)} {problem}")


def _element_error(index: int, key: str, error: ServingError) -> ServingError:
    return invalid(
        f"Failed to process element: {index}{key} of 'instances' list. Error: "
        f"{error.code.name}: {error.message}"
    )


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"
