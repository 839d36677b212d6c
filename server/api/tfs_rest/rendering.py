"""Tensors and results as JSON, digit for digit as TensorFlow Serving writes them.

Layout and number formats are those of tensorflow_serving/util/json_tensor.cc: RapidJSON's
PrettyWriter with four spaces, rows and results on one line; floating-point numbers with six
digits where that is exact, all digits where not, and always recognisable as such.

All of it is written in blocks, so that a long answer keeps no other thread waiting.
"""

from __future__ import annotations

import base64
import math
from array import array as narrow
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import orjson

from server.errors import invalid
from server.inference.predict import dtype_string
from wire import dtypes
from wire import serving_pb2 as pb

LONG = 8192  # values of an answer that are rendered in one go at most
_ROW, _ITEM, _KEY = "\n    ", "\n        ", "\n            "


def error(message: str) -> bytes:
    """Returns the body of every answer that isn't a success."""
    return b'{\n    "error": %s\n}' % orjson.dumps(message.encode(errors="replace").decode())


def predictions(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Renders outputs in row format: one entry an example, named where there are several.

    Raises:
        ServingError: the outputs have no common batch size.
    """
    _check_batch(outputs)
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        pieces = _flat(array, name)
    else:
        pieces = _named_rows(outputs)
    return _joined(f'{{{_ROW}"predictions": ', pieces)


def columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Renders outputs in columnar format: whole tensors, named where there are several.

    Raises:
        ServingError: there is no output, or one of a dtype that JSON can't carry.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        pieces = _indented(array, name, _ROW)
    else:
        pieces = _named_columns(outputs)
    return _joined(f'{{{_ROW}"outputs": ', pieces)


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
    found = [entry.value for entry in result.regressions]
    return _joined(f'{{{_ROW}"results": ', _flat(np.array(found, np.float32), ""))


def _joined(head: str, pieces: Iterator[str]) -> bytes:
    encoded = [head.encode(), *(piece.encode(errors="surrogateescape") for piece in pieces)]
    return b"".join((*encoded, b"\n}"))


def _check_batch(outputs: Mapping[str, np.ndarray]) -> None:
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    batch_size = -1
    for name in sorted(outputs):
        array = outputs[name]
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if batch_size >= 0 and len(array) != batch_size:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} "
                f"expecting: {batch_size}"
            )
        batch_size = len(array)


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Cuts an array along its leading axis into some entries each of up to `LONG` values."""
    size = max(1, LONG // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), size):
        yield array[start : start + size]


def _named_rows(outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    names = sorted(outputs)
    keys = [orjson.dumps(name).decode() for name in names]
    number = len(outputs[names[0]])
    size = max(1, LONG // max(1, sum(outputs[name].size for name in names) // max(1, number)))
    yield "["
    for start in range(0, number, size):
        texts = [_entries(outputs[name][start : start + size], name) for name in names]
        rows = (
            f"{_ITEM}{{{','.join(map(_member, keys, row))}{_ITEM}}}"
            for row in zip(*texts, strict=True)
        )
        yield ("," if start else "") + ",".join(rows)
    yield f"{_ROW}]" if number else "]"


def _entries(array: np.ndarray, name: str) -> list[str]:
    """Renders each entry of the leading axis on one line."""
    return ["".join(_flat(array[index : index + 1].reshape(array.shape[1:]), name))
            for index in range(len(array))]  # fmt: skip


def _named_columns(outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    yield "{"
    for index, name in enumerate(sorted(outputs)):
        yield f"{',' if index else ''}{_ITEM}{orjson.dumps(name).decode()}: "
        yield from _indented(outputs[name], name, _ITEM)
    yield f"{_ROW}}}"


def _member(key: str, value: str) -> str:
    return f"{_KEY}{key}: {value}"


def _flat(array: np.ndarray, name: str) -> Iterator[str]:
    """Renders a tensor on one line."""
    if array.size <= LONG:
        yield _nest(_scalars(array, name), array.shape)
        return
    yield "["
    for index, block in enumerate(_blocks(array)):
        if index:
            yield ", "
        if len(block) == 1 and block.size > LONG:
            yield from _flat(block[0], name)
        else:
            yield _nest(_scalars(block, name), block.shape)[1:-1]
    yield "]"


def _nest(values: Sequence[str], shape: tuple[int, ...]) -> str:
    if not shape:
        return values[0]
    for axis in reversed(range(1, len(shape))):
        size = shape[axis]
        count = len(values) // size if size else math.prod(shape[:axis])
        values = ["[" + ", ".join(values[i * size : (i + 1) * size]) + "]" for i in range(count)]
    return "[" + ", ".join(values) + "]"


def _indented(array: np.ndarray, name: str, newline: str) -> Iterator[str]:
    """Renders a tensor with each value on a line of its own."""
    if array.size <= LONG:
        yield _lines(array, name, newline)
        return
    yield "["
    inner = newline + "    "
    for index, block in enumerate(_blocks(array)):
        if index:
            yield ","
        if len(block) == 1 and block.size > LONG:
            yield inner
            yield from _indented(block[0], name, inner)
        else:
            yield _lines(block, name, newline)[1 : -1 - len(newline)]
    yield newline + "]"


def _lines(array: np.ndarray, name: str, newline: str) -> str:
    values: Sequence[str] = _scalars(array, name)
    if not array.ndim:
        return values[0]
    for axis in reversed(range(array.ndim)):
        size = array.shape[axis]
        count = math.prod(array.shape[:axis])
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
