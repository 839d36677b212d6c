"""Classify and regress: JSON objects to tf.Examples, results to JSON.

Source: tensorflow_serving/util/json_tensor.cc.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from server.api.tfs_rest import pieces, printing, scalars
from server.errors import Code, ServingError, invalid
from wire import serving_pb2 as pb

_MAX_EXAMPLES = 2**18  # each takes a kilobyte, however short it is
_LARGEST = float(np.finfo(np.float32).max)
_KINDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def read(body: Mapping[str, Any]) -> pb.Input:
    """Reads the examples of a request, with the context that all share.

    Raises:
        ServingError: INVALID_ARGUMENT with the official text.
    """
    context = _example(_whole(body["context"])) if "context" in body else None
    if "examples" not in body:
        raise _format_error(
            body, "When method is classify, key 'examples' is expected and was not found"
        )
    examples = body["examples"]
    is_long = isinstance(examples, pieces.Span)
    if not isinstance(examples, list) and not (is_long and examples.is_list):
        raise _format_error(body, "Expecting 'examples' value to be an list/array")
    found: list[pb.Example] = []
    if is_long:
        for group in examples.groups():
            values = group.values() if isinstance(group, pieces.Group) else [_whole(group)]
            if not isinstance(values, list):
                raise _not_example(values)
            found += map(_example, values)
            if len(found) > _MAX_EXAMPLES:
                raise ServingError(
                    Code.RESOURCE_EXHAUSTED,
                    f"a JSON request may have up to {_MAX_EXAMPLES} examples",
                )
    else:
        found += map(_example, examples)
    if not found:
        raise _format_error(body, "'examples' value is an empty array")
    if context is None:
        return pb.Input(example_list=pb.ExampleList(examples=found))
    return pb.Input(
        example_list_with_context=pb.ExampleListWithContext(examples=found, context=context)
    )


def _whole(value: Any) -> Any:
    """Reads one example, however long it is."""
    if isinstance(value, pieces.Text):
        return value.value()
    if not isinstance(value, pieces.Span):
        return value
    if not value.is_list:
        return {
            name: pieces.head(item) if _is_object(item) else _whole(item)
            for name, item in value.members()
        }
    found: list[Any] = []
    for group in value.groups():
        if isinstance(group, pieces.Group):
            found += group.values()
        elif isinstance(group, pieces.Span):  # a feature has no lists in lists
            return [pieces.head(group)]
        else:
            found.append(_whole(group))
    return found


def _is_object(value: Any) -> bool:
    return isinstance(value, pieces.Span) and not value.is_list


def _example(value: Any) -> pb.Example:
    if not isinstance(value, dict):
        raise _not_example(value)
    example = pb.Example()
    for name, content in value.items():
        try:
            feature = example.features.feature[name]
        except UnicodeEncodeError:
            raise invalid(f"Feature name {printing.text(name)} is not UTF-8") from None
        for item in content if isinstance(content, list) else [content]:
            _add(item, name, feature)
    return example


def _add(value: Any, name: str, feature: pb.Feature) -> None:
    kind = printing.kind(value)
    if kind in ("Null", "Array") or (kind == "Object" and not scalars.is_base64(value)):
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {kind}")
    if kind == "Object":
        _values(feature, "bytes_list", name).append(scalars.decode_base64(value))
    elif kind == "String":
        _values(feature, "bytes_list", name).append(value.encode(errors="surrogateescape"))
    elif isinstance(value, float):
        _values(feature, "float_list", name).append(_rounded(value))
    else:
        values = _values(feature, "int64_list", name)
        if value >= 2**63:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        values.append(int(value))


def _values(feature: pb.Feature, kind: str, name: str) -> Any:
    found = feature.WhichOneof("kind")
    if found not in (None, kind):
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {_KINDS[found]}")
    return getattr(feature, kind).value


def _rounded(value: float) -> float:
    """Returns a number that protobuf takes for a float: beyond its range infinity, as GetFloat."""
    if abs(value) <= _LARGEST:
        return value
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _not_example(value: Any) -> ServingError:
    return invalid(f"Example must be JSON object but got JSON {printing.kind(value)}")


def _format_error(body: Mapping[str, Any], problem: str) -> Exception:
    return invalid(f"JSON Value: {printing.text(pieces.head(dict(body)))} {problem}")
