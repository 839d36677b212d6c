"""Classify and regress: JSON objects to tf.Examples, results to JSON.

Source: tensorflow_serving/util/json_tensor.cc.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from server.api.tfs_rest import document, scalars
from server.errors import invalid
from wire import serving_pb2 as pb

_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def read(body: Mapping[str, Any]) -> pb.Input:
    """Reads the examples of a request, with the context that all share.

    Raises:
        ServingError: INVALID_ARGUMENT with the official text.
    """
    context = _example(body["context"]) if "context" in body else None
    if "examples" not in body:
        raise _format_error(
            body, "When method is classify, key 'examples' is expected and was not found"
        )
    examples = body["examples"]
    if not isinstance(examples, list):
        raise _format_error(body, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _format_error(body, "'examples' value is an empty array")
    found = [_example(value) for value in examples]
    if context is None:
        return pb.Input(example_list=pb.ExampleList(examples=found))
    return pb.Input(
        example_list_with_context=pb.ExampleListWithContext(examples=found, context=context)
    )


def _example(value: Any) -> pb.Example:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {document.kind(value)}")
    example = pb.Example()
    for name, content in value.items():
        try:
            feature = example.features.feature[name]
        except UnicodeEncodeError:
            raise invalid(f"Feature name {document.text(name)} is not UTF-8") from None
        for item in content if isinstance(content, list) else [content]:
            _add(item, name, feature)
    return example


def _add(value: Any, name: str, feature: pb.Feature) -> None:
    kind = document.kind(value)
    if kind in ("Null", "Array") or (kind == "Object" and not scalars.is_base64(value)):
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {kind}")
    if kind == "Object":
        _values(feature, "bytes_list", name).append(scalars.decode_base64(value))
    elif kind == "String":
        _values(feature, "bytes_list", name).append(value.encode(errors="surrogateescape"))
    elif isinstance(value, float):
        values = _values(feature, "float_list", name)
        if np.isfinite(value) and abs(value) > np.finfo(np.float32).max:
            raise invalid(
                f"Cannot convert JSON value: {document.text(value)} to float "
                "without loss of precision."
            )
        values.append(value)
    else:
        values = _values(feature, "int64_list", name)
        if value >= 2**63:
            raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
        values.append(int(value))


def _values(feature: pb.Feature, kind: str, name: str) -> Any:
    found = feature.WhichOneof("kind")
    if found not in (None, kind):
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {_KINDS[found]}")
    return getattr(feature, kind).value


def _format_error(body: Mapping[str, Any], problem: str) -> Exception:
    return invalid(f"JSON Value: {document.text(body)} {problem}")
