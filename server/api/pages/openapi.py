"""The REST APIs of the models that are loaded, as an OpenAPI document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np

from server.api.tfs_rest import scalars
from server.api.v2.inputs import SIGNATURE_PARAMETER, datatype_of
from server.engines import signatures
from server.engines.signatures import ModelSignature, TensorInfo
from server.models.model import ServedModel
from wire import datatypes, dtypes, methods

_ERRORS = {
    "400": "The request is wrong in itself.",
    "401": "The bearer token is missing or wrong.",
    "404": "There is no such model or version.",
    "413": "The body is too large.",
    "429": "The server takes on no more for the moment.",
    "500": "The model failed.",
    "501": "Not supported.",
    "503": "The server is ending.",
    "504": "The answer took too long.",
}

_READY = {
    "type": "object",
    "properties": {"ready": {"type": "boolean"}},
    "additionalProperties": False,
}


def document(models: Iterable[ServedModel]) -> Mapping[str, Any]:
    """Returns an OpenAPI 3.1 document for the models' latest versions."""
    paths: dict[str, Any] = {
        "/healthz": _get("Is the process alive?", {"type": "object"}),
        "/readyz": _get("Is everything loaded?", {"type": "object"}, "503"),
        "/models": _get("Models, versions, states, signatures", {"type": "object"}),
        "/v2": _get("Open Inference Protocol: name, version, extensions", {"type": "object"}),
        "/v2/health/live": _get("Is the process alive?", {"type": "object"}),
        "/v2/health/ready": _get("Is everything loaded?", {"type": "object"}, "503"),
        # Loading and unloading, which take a token of their own, aren't for who reads this.
        "/v2/repository/index": _post(
            "Models and states", [_READY], {"type": "array"}, errors=("400",)
        ),
    }
    for model in models:
        path = f"/v1/models/{quote(model.config.name, safe='')}"
        paths[path] = _get("States of the versions", {"$ref": "#/components/schemas/Status"}, "404")
        paths[f"{path}/metadata"] = _get("Signatures", {"type": "object"}, "404")
        if model.latest is not None:
            paths |= _inference(path, model.latest.signatures)
        path = f"/v2/models/{quote(model.config.name, safe='')}"
        paths[path] = _get("Inputs and outputs", {"type": "object"}, "404")
        paths[f"{path}/ready"] = _get("Does it answer?", {"type": "object"}, "404", "503")
        if model.latest is not None:
            paths |= _v2_inference(path, model.latest.signatures)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "TensorFlow Serving's REST API and the Open Inference Protocol",
            "version": "1",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Error": _object({"error": {"type": "string"}}),
                "Status": _object({"model_version_status": {"type": "array"}}),
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _inference(path: str, found: Mapping[str, ModelSignature]) -> dict[str, Any]:
    usable = [s for _, s in sorted(found.items()) if s.inputs]
    examples = {
        verb: [s for s in usable if s.method_name == method]
        for verb, method in (("classify", methods.CLASSIFY), ("regress", methods.REGRESS))
    }
    paths = {}
    if usable:
        bodies = [body for signature in usable for body in _predict_bodies(signature)]
        answer = {"anyOf": [_object({"predictions": {"type": "array"}}), _object({"outputs": {}})]}
        paths[f"{path}:predict"] = _post("Run a signature on tensors", bodies, answer)
    for verb, some in examples.items():
        if some:
            paths[f"{path}:{verb}"] = _post(
                f"{verb.capitalize()} examples",
                [_examples_body(signature) for signature in some],
                _object({"results": {"type": "array"}}),
            )
    return paths


def _v2_inference(path: str, found: Mapping[str, ModelSignature]) -> dict[str, Any]:
    """Returns the path of an inference; of open sizes, the schema has some that there may be."""
    usable = [s for _, s in sorted(found.items()) if s.inputs]
    bodies = [_v2_body(signature, rows) for signature in usable for rows in (1, 2)]
    output = _object({"name": {"type": "string"}, "shape": {"type": "array"}})
    answer = _object({"model_name": {"type": "string"}, "outputs": {"items": output}})
    return {f"{path}/infer": _post("Run a signature on tensors", bodies, answer)} if bodies else {}


def _v2_body(signature: ModelSignature, rows: int) -> Mapping[str, Any]:
    tensors = [_v2_tensor(name, tensor, rows) for name, tensor in signature.inputs.items()]
    count = {"minItems": len(tensors), "maxItems": len(tensors)}
    listed = {"items": tensors[0]} if len(tensors) == 1 else {"prefixItems": tensors}
    properties: dict[str, Any] = {"inputs": {"type": "array", **listed, **count}}
    if signature.name != signatures.DEFAULT:
        properties["parameters"] = _object({SIGNATURE_PARAMETER: {"const": signature.name}})
    return _object(properties) | {"additionalProperties": False}


def _v2_tensor(name: str, tensor: TensorInfo, rows: int) -> Mapping[str, Any]:
    open_shape = (-1,) if tensor.shape is None else tensor.shape
    shape = [(1 if axis else rows) if size == -1 else size for axis, size in enumerate(open_shape)]
    count = math.prod(shape)
    value = _v2_scalar(tensor)
    fields = {
        "name": {"const": name},
        "datatype": {"const": datatype_of(tensor)},
        "shape": {"const": shape},
        "data": {"type": "array", "items": value, "minItems": count, "maxItems": count},
    }
    return _object(fields) | {"additionalProperties": False}


def _v2_scalar(tensor: TensorInfo) -> Mapping[str, Any]:
    if not datatypes.is_known(datatype_of(tensor)):
        return {"not": {}}
    if tensor.dtype == dtypes.DT_STRING:
        return {"type": "string"}
    if tensor.numpy_dtype.kind not in "iu":
        return {"type": "boolean" if tensor.numpy_dtype.kind == "b" else "number"}
    bounds = np.iinfo(tensor.numpy_dtype)
    return {"type": "integer", "minimum": int(bounds.min), "maximum": int(bounds.max)}


def _predict_bodies(signature: ModelSignature) -> Iterable[Mapping[str, Any]]:
    rows = {name: _tensor(tensor, skip=1) for name, tensor in signature.inputs.items()}
    columns = {name: _tensor(tensor) for name, tensor in signature.inputs.items()}
    row: Mapping[str, Any] = _object(rows) if len(rows) > 1 else next(iter(rows.values()))
    column: Mapping[str, Any] = (
        _object(columns) if len(columns) > 1 else next(iter(columns.values()))
    )
    yield _body(signature, "instances", {"type": "array", "minItems": 1, "items": row})
    yield _body(signature, "inputs", column)


def _examples_body(signature: ModelSignature) -> Mapping[str, Any]:
    example = {"type": "object", "additionalProperties": {}}
    return _body(signature, "examples", {"type": "array", "minItems": 1, "items": example})


def _body(signature: ModelSignature, key: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = {"const": signature.name}
    required = [key] if signature.name == signatures.DEFAULT else [key, "signature_name"]
    return {
        "type": "object",
        "properties": {"signature_name": name, key: schema},
        "required": required,
        "additionalProperties": False,
    }


def _tensor(tensor: TensorInfo, skip: int = 0) -> Mapping[str, Any]:
    schema = _scalar(tensor.dtype)
    if tensor.shape is None:
        return {"anyOf": [schema, {"type": "array"}]}
    for size in reversed(tensor.shape[skip:]):
        schema = {"type": "array", "items": schema, "minItems": 1}
        if size >= 0:
            schema |= {"minItems": size, "maxItems": size}
    return schema


def _scalar(dtype: int) -> dict[str, Any]:
    try:
        name = dtypes.name(dtype)
    except ValueError:
        return {"not": {}}
    if name == "string":
        encoded = _object({"b64": {"type": "string", "contentEncoding": "base64"}})
        return {"anyOf": [{"type": "string"}, encoded]}
    if name == "bool":
        return {"type": "boolean"}
    if name.startswith("complex"):
        return {"not": {}}
    if name in scalars.FLOATS:
        return {"type": "number"}
    low, high = scalars.INTEGERS[name]
    return {"type": "integer", "minimum": low, "maximum": high}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _get(summary: str, schema: Mapping[str, Any], *errors: str) -> Mapping[str, Any]:
    return {"get": {"summary": summary, "responses": _responses(schema, errors)}}


def _post(
    summary: str,
    bodies: list[Mapping[str, Any]],
    answer: Mapping[str, Any],
    errors: Sequence[str] = tuple(_ERRORS),
) -> Mapping[str, Any]:
    content = {"application/json": {"schema": {"anyOf": bodies}}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": _responses(answer, errors),
        }
    }


def _responses(schema: Mapping[str, Any], errors: Sequence[str]) -> Mapping[str, Any]:
    """Returns the answers there are; what isn't ready, the last of some, says so in the schema."""
    error = {"schema": {"$ref": "#/components/schemas/Error"}}
    found: dict[str, Any] = {
        "200": {"description": "The answer.", "content": {"application/json": {"schema": schema}}}
    }
    for status in ("401", *errors):
        content = {"schema": schema} if status == "503" and errors[-1] == "503" else error
        found[status] = {
            "description": _ERRORS[status],
            "content": {"application/json": content},
        }
    return found
