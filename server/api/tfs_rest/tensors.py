"""A predict request's JSON to the signature's inputs, in TensorFlow Serving's rules.

Source: tensorflow_serving/util/json_tensor.cc
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from server.api.tfs_rest import dense, document, numbers, scalars
from server.engines.signatures import Signature, Tensor
from server.errors import ServingError, invalid


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
    array = dense.of_dtype(body.array, tensor)
    return None if array is None else {name: array}


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
                dense.read(value, inputs[name])
            except ServingError as found:
                error = found
        if error:
            raise _element_error(index, f" key: {name}", error)


def _stack(
    values: list[Any], tensor: Tensor, check: Callable[[int], None], key: str = ""
) -> np.ndarray:
    """Returns the values as one tensor, each an entry of the leading axis, all of one shape."""
    array = dense.numbers_of(values, tensor)
    if array is not None:
        return array
    rows: list[np.ndarray] = []
    for index, value in enumerate(values):
        check(index)
        try:
            row = dense.read(value, tensor)
            if rows and row.size != rows[0].size:
                raise invalid(f"Expecting tensor size: {rows[0].size} but got: {row.size}")
            if rows and row.shape != rows[0].shape:
                raise invalid(f"Expecting shape {_shape(rows[0])} but got: {_shape(row)}")
        except ServingError as error:
            raise _element_error(index, key, error) from None
        rows.append(row)
    if rows[0].ndim >= dense.MAX_RANK:
        raise dense.too_deep(rows[0].ndim + 1)
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
        return {name: dense.read(value, tensor)}
    arrays = {}
    for name, tensor in inputs.items():
        if name not in value and name in signature.defaults:
            continue
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = dense.read(value[name], tensor)
    return arrays


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not scalars.is_base64(value)


def _format_error(body: Mapping[str, Any], problem: str) -> ServingError:
    return invalid(f"JSON Value: {document.text(body)} {problem}")


def _element_error(index: int, key: str, error: ServingError) -> ServingError:
    return invalid(
        f"Failed to process element: {index}{key} of 'instances' list. Error: "
        f"{error.code.name}: {error.message}"
    )


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"
