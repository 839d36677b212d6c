"""Tensors and results as JSON, digit for digit as TensorFlow Serving writes them.

Layout and number formats are those of tensorflow_serving/util/json_tensor.cc: RapidJSON's
PrettyWriter with four spaces, rows and results on one line; floating-point numbers with six
digits where that is exact, all digits where not, and always recognisable as such.
"""

from __future__ import annotations

import base64
from array import array as narrow
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import orjson

from server.errors import invalid
from server.inference.predict import dtype_string
from wire import dtypes
from wire import serving_pb2 as pb

_ROW, _ITEM, _KEY = "\n    ", "\n        ", "\n            "


def error(message: str) -> bytes:
    """Returns the body of every answer that isn't a success."""
    return b'{ "error": %s }' % orjson.dumps(message.encode(errors="replace").decode())


def predictions(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Renders outputs in row format: one entry an example, named where there are several.

    Raises:
        ServingError: the outputs have no common batch size.
    """
    _check_batch(outputs)
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        return f'{{{_ROW}"predictions": {_flat(array, name)}\n}}'.encode(errors="surrogateescape")
    names = sorted(outputs)
    columns = [[_flat(row, name) for row in _entries(outputs[name])] for name in names]
    keys = [orjson.dumps(name).decode() for name in names]
    rows = ",".join(
        f"{_ITEM}{{{','.join(map(_member, keys, row))}{_ITEM}}}"
        for row in zip(*columns, strict=True)
    )
    return f'{{{_ROW}"predictions": [{rows}{_ROW}]\n}}'.encode(errors="surrogateescape")


def columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Renders outputs in columnar format: whole tensors, named where there are several.

    Raises:
        ServingError: there is no output, or one of a dtype that JSON can't carry.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        text = _indented(array, name, _ROW)
    else:
        members = (
            f"{_ITEM}{orjson.dumps(name).decode()}: {_indented(outputs[name], name, _ITEM)}"
            for name in sorted(outputs)
        )
        text = "{" + ",".join(members) + f"{_ROW}}}"
    return f'{{{_ROW}"outputs": {text}\n}}'.encode(errors="surrogateescape")


def classifications(result: pb.ClassificationResult) -> bytes:
    """Renders classes and scores, a list of pairs an example."""
    rows = []
    for entry in result.classifications:
        scores = _decimals(np.array([found.score for found in entry.classes], np.float32))
        pairs = zip(entry.classes, scores, strict=True)
        rows.append([f"[{orjson.dumps(found.label).decode()}, {score}]" for found, score in pairs])
    text = ", ".join("[" + ", ".join(row) + "]" for row in rows)
    return f'{{{_ROW}"results": [{text}]\n}}'.encode()


def regressions(result: pb.RegressionResult) -> bytes:
    """Renders one value an example."""
    values = _decimals(np.array([found.value for found in result.regressions], np.float32))
    return f'{{{_ROW}"results": [{", ".join(values)}]\n}}'.encode()


def _check_batch(outputs: Mapping[str, np.ndarray]) -> None:
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    batch_size = 0
    for name in sorted(outputs):
        array = outputs[name]
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if not len(array):
            raise invalid(f"Tensor name: {name} has invalid batch size: {len(array)}")
        if batch_size and len(array) != batch_size:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} "
                f"expecting: {batch_size}"
            )
        batch_size = len(array)


def _member(key: str, value: str) -> str:
    return f"{_KEY}{key}: {value}"


def _entries(array: np.ndarray) -> Iterable[np.ndarray]:
    return (array[index : index + 1].reshape(array.shape[1:]) for index in range(len(array)))


def _flat(array: np.ndarray, name: str) -> str:
    """Renders a tensor on one line."""
    return _nest(_scalars(array, name), array.shape)


def _nest(values: Sequence[str], shape: tuple[int, ...]) -> str:
    if not shape:
        return values[0]
    for size in reversed(shape[1:]):
        count = len(values) // size if size else int(np.prod(shape[:-1]))
        values = ["[" + ", ".join(values[i * size : (i + 1) * size]) + "]" for i in range(count)]
    return "[" + ", ".join(values) + "]"


def _indented(array: np.ndarray, name: str, newline: str) -> str:
    """Renders a tensor with each value on a line of its own."""
    values: Sequence[str] = _scalars(array, name)
    if not array.ndim:
        return values[0]
    for axis in reversed(range(array.ndim)):
        size = array.shape[axis]
        count = int(np.prod(array.shape[:axis]))
        outer = newline + "    " * axis
        inner = outer + "    "
        values = [
            "[" + inner + f",{inner}".join(values[i * size : (i + 1) * size]) + outer + "]"
            if size
            else "[]"
            for i in range(count)
        ]
    return values[0]


def _scalars(array: np.ndarray, name: str) -> list[str]:
    kind = array.dtype.kind
    if kind == "f" or array.dtype.name == "bfloat16":
        return _decimals(array)
    if kind in "iu":
        return list(map(str, array.ravel().tolist()))
    if kind == "b":
        return ["true" if value else "false" for value in array.ravel().tolist()]
    if kind == "O":
        is_bytes = name.endswith("_bytes")
        return [_base64(v) if is_bytes else _string(v) for v in array.ravel().tolist()]
    raise invalid(
        "Failed to write JSON value for tensor type: "
        + dtype_string(dtypes.number(array.dtype.name))
    )


def _decimals(array: np.ndarray) -> list[str]:
    is_double = array.dtype == np.float64
    values = (array if is_double else array.astype(np.float32, copy=False)).ravel().tolist()
    short = ("%.6g " * len(values) % tuple(values)).split()
    found = list(map(float, short)) if is_double else narrow("f", map(float, short)).tolist()
    digits = "%.17g" if is_double else "%.9g"
    exact = [
        text if number == value else digits % value
        for text, number, value in zip(short, found, values, strict=True)
    ]
    return [text if "." in text or "e" in text else _marked(text) for text in exact]


def _marked(text: str) -> str:
    """Returns a number that can't be taken for an integer, and JSON's names for the others."""
    if "." in text or "e" in text:
        return text
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-nan": "NaN"}.get(
        text, text + ".0"
    )


def _base64(value: bytes) -> str:
    return f'{{"b64": "{base64.b64encode(value).decode()}"}}'


def _string(value: bytes | str) -> str:
    """Returns a string; one that isn't UTF-8 as base64, where Serving writes invalid JSON."""
    try:
        return orjson.dumps(value.decode() if isinstance(value, bytes) else value).decode()
    except (UnicodeDecodeError, orjson.JSONEncodeError):
        return _base64(value if isinstance(value, bytes) else value.encode(errors="replace"))
