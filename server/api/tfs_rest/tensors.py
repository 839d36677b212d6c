"""A predict request's JSON to the signature's inputs, in TensorFlow Serving's rules.

Source: tensorflow_serving/util/json_tensor.cc
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from server.api.tfs_rest import dense, json_values, numbers, pieces, printing, scalars
from server.api.tfs_rest.columns import read_column
from server.api.tfs_rest.rows import Rows
from server.engines.signatures import ModelSignature
from server.errors import ServingError, invalid


def predict_inputs(
    body: Mapping[str, Any], signature: ModelSignature
) -> tuple[dict[str, np.ndarray], bool]:
    """Reads the inputs of a predict request, and whether they came in row format.

    Raises:
        ServingError: INVALID_ARGUMENT with the official text.
    """
    if isinstance(body, numbers.Envelope):
        if (found := numbers_in(body, signature)) is not None:
            return found
        body = body.plain()
    if not signature.inputs:
        name = body.get("signature_name") or "DEFAULT"
        raise invalid(f"Failed to get input map for signature: {name}")
    if "instances" in body:
        if "inputs" in body:
            raise _format_error(
                body,
                "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to "
                "exist ",
            )
        return _rows(body, signature), True
    if "inputs" in body:
        return _columns(body["inputs"], signature), False
    raise invalid("Missing 'inputs' or 'instances' key")


def numbers_in(
    body: numbers.Envelope, signature: ModelSignature
) -> tuple[dict[str, np.ndarray], bool] | None:
    """Returns what `predict_inputs` does, at once; None where that isn't clear from the numbers."""
    is_row = "instances" in body
    if is_row == ("inputs" in body):
        return None
    found = body.numbers
    if not isinstance(found, numbers.Numbers):
        arrays = numbers.of_signature(found, signature)
    elif len(signature.inputs) == 1:
        ((name, tensor),) = signature.inputs.items()
        array = found.of(tensor)
        arrays = None if array is None else {name: array}
    else:
        return None
    return None if arrays is None else (arrays, is_row)


def _rows(body: Mapping[str, Any], signature: ModelSignature) -> dict[str, np.ndarray]:
    instances = body["instances"]
    if isinstance(instances, json_values.Unparsed):
        raise dense.too_deep()
    if not isinstance(instances, list) and not _is_span(instances, is_list=True):
        raise _format_error(body, "Expecting 'instances' to be an list/array")
    if isinstance(instances, list):
        if not instances:
            raise _format_error(body, "No values in 'instances' array")
        rows = Rows(signature)
        rows.add(instances)
        return rows.finish()
    rows = Rows(signature, instances.capacity)
    for group in instances.groups():
        if not isinstance(group, pieces.Group):
            rows.add([group])
        elif (found := numbers.read(group.text)) is None or not rows.add_numbers(found):
            rows.add(group.values())
    if not rows.count:
        raise _format_error(body, "No values in 'instances' array")
    return rows.finish()


def _columns(value: Any, signature: ModelSignature) -> dict[str, np.ndarray]:
    inputs = signature.inputs
    is_named = (isinstance(value, dict) and not scalars.is_base64(value)) or _is_span(
        value, is_list=False
    )
    if not is_named:
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        name, tensor = next(iter(inputs.items()))
        return {name: read_column(value, tensor)}
    values: dict[str, Any] = {}
    for name, item in value.members() if isinstance(value, pieces.Span) else value.items():
        if name in inputs:
            values.setdefault(name, item)
    arrays = {}
    for name, tensor in inputs.items():
        if name not in values:
            if name in signature.defaults:
                continue
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = read_column(values[name], tensor)
    return arrays


def _is_span(value: Any, *, is_list: bool) -> bool:
    return isinstance(value, pieces.Span) and value.is_list is is_list


def _format_error(body: Mapping[str, Any], problem: str) -> ServingError:
    return invalid(f"JSON Value: {printing.text(pieces.head(dict(body)))} {problem}")
