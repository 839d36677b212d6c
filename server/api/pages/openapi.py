"""The REST API of the models that are loaded, as an OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from server.api.tfs_rest import scalars
from server.engines import signatures
from server.engines.signatures import Signature, Tensor
from server.models.model import Model
from wire import dtypes, methods

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


def document(models: Iterable[Model]) -> Mapping[str, Any]:
    """Returns an OpenAPI 3.1 document for the models' latest versions."""
    paths: dict[str, Any] = {
        "/healthz": _get("Is the process alive?", {"type": "object"}),
        "/readyz": _get("Is everything loaded?", {"type": "object"}, "503"),
        "/models": _get("Models, versions, states, signatures", {"type": "object"}),
    }
    for model in models:
        path = f"/v1/models/{quote(model.config.name, safe='')}"
        paths[path] = _get("States of the versions", {"$ref": "#/components/schemas/Status"}, "404")
        paths[f"{path}/metadata"] = _get("Signatures", {"type": "object"}, "404")
        if model.latest is not None:
            paths |= _inference(path, model.latest.signatures)
    return {
        "openapi": "3.1.0",
        "info": {"title": "TensorFlow Serving's REST API, embedded server", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {
                "Error": _object({"error": {"type": "string"}}),
                "Status": _object({"model_version_status": {"type": "array"}}),
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _inference(path: str, found: Mapping[str, Signature]) -> dict[str, Any]:
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


def _predict_bodies(signature: Signature) -> Iterable[Mapping[str, Any]]:
    rows = {name: _tensor(tensor, skip=1) for name, tensor in signature.inputs.items()}
    columns = {name: _tensor(tensor) for name, tensor in signature.inputs.items()}
    row: Mapping[str, Any] = _object(rows) if len(rows) > 1 else next(iter(rows.values()))
    column: Mapping[str, Any] = (
        _object(columns) if len(columns) > 1 else next(iter(columns.values()))
    )
    yield _body(signature, "instances", {"type": "array", "minItems": 1, "items": row})
    yield _body(signature, "inputs", column)


def _examples_body(signature: Signature) -> Mapping[str, Any]:
    example = {"type": "object", "additionalProperties": {}}
    return _body(signature, "examples", {"type": "array", "minItems": 1, "items": example})


def _body(signature: Signature, key: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = {"const": signature.name}
    required = [key] if signature.name == signatures.DEFAULT else [key, "signature_name"]
    return {
        "type": "object",
        "properties": {"signature_name": name, key: schema},
        "required": required,
        "additionalProperties": False,
    }


def _tensor(tensor: Tensor, skip: int = 0) -> Mapping[str, Any]:
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
    summary: str, bodies: list[Mapping[str, Any]], answer: Mapping[str, Any]
) -> Mapping[str, Any]:
    content = {"application/json": {"schema": {"anyOf": bodies}}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": _responses(answer, _ERRORS),
        }
    }


def _responses(schema: Mapping[str, Any], errors: Iterable[str]) -> Mapping[str, Any]:
    error = {"schema": {"$ref": "#/components/schemas/Error"}}
    found: dict[str, Any] = {
        "200": {"description": "The answer.", "content": {"application/json": {"schema": schema}}}
    }
    for status in ("401", *errors):
        content = {"schema": schema} if status == "503" and errors == ("503",) else error
        found[status] = {
            "description": _ERRORS[status],
            "content": {"application/json": content},
        }
    return found
