"""A request's body as Python values, with RapidJSON's rules and error texts.

TensorFlow Serving parses with RapidJSON and its flag for NaN and Infinity. Documents without
peculiarities go through orjson; what that refuses is either explained by `syntax`, or is one of
RapidJSON's liberties (NaN, Infinity, a byte order mark, strings that aren't UTF-8) and then goes
through the standard library's parser.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import orjson

from server.api.tfs_rest import syntax
from server.errors import invalid

_MAX_TEXT = 4096
_LARGEST_FLOAT = 3.4028234e38  # as RapidJSON has it (document.h, IsFloat)
_BOM = b"\xef\xbb\xbf"
# Strings are matched to be skipped. RapidJSON takes Inf and -NaN too, Python's parser doesn't.
_NON_FINITE = re.compile(r'"(?:[^"\\]|\\.)*+"|-?\b(?:Inf(?:inity)?|NaN)\b', re.DOTALL)


class Repeated(dict[str, Any]):
    """An object that had a key more than once; the first value counts, as in RapidJSON."""


def parse(body: bytes) -> dict[str, Any]:
    """Parses a document whose root must be an object.

    Strings that aren't UTF-8 come with surrogate escapes (PEP 383), so no byte is lost.

    Raises:
        ServingError: INVALID_ARGUMENT, `JSON Parse error: …` or the root isn't an object.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
        if isinstance(document, dict) and _may_repeat_keys(body, document):
            document = _parse_slowly(body)
    except orjson.JSONDecodeError as error:
        if problem := syntax.find_error(body, error.pos):
            raise invalid(f"JSON Parse error: {problem}") from None
        document = _parse_slowly(body)
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {text(document)} Is not object")
    return document


def text(value: Any) -> str:
    """Returns a value for an error message, laid out as by RapidJSON's PrettyWriter, cut if long.

    The cut is ours: the official server sends back whole documents.
    """
    if isinstance(value, float):
        return _decimal(value)
    pieces: list[str] = []
    _print(value, "\n", pieces, [_MAX_TEXT])
    printed = "".join(pieces)
    if len(printed) > _MAX_TEXT:
        printed = printed[:_MAX_TEXT] + "…"
    return printed.encode(errors="surrogateescape").decode(errors="replace")


def _decimal(value: float) -> str:
    """Prints a number as the official server does one that stands alone: as a float if it is one.

    Source: JsonValueToString and WriteDecimal in tensorflow_serving/util/json_tensor.cc
    """
    if not math.isfinite(value):
        return json.dumps(value)
    kind, digits = (np.float32, 9) if abs(value) <= _LARGEST_FLOAT else (np.float64, 17)
    number = kind(value)
    printed = f"{number:.6g}"
    if kind(printed) != number:
        printed = f"{number:.{digits}g}"
    return printed if "." in printed or "e" in printed else f"{printed}.0"


def _print(value: Any, newline: str, pieces: list[str], budget: list[int]) -> None:
    """Prints into pieces until the budget is used up, so neither depth nor length matter."""
    if budget[0] < 0:
        return
    if isinstance(value, dict | list) and value:
        is_object = isinstance(value, dict)
        inner = newline + "    "
        items = value.items() if isinstance(value, dict) else (("", item) for item in value)
        _put("{" if is_object else "[", pieces, budget)
        for index, (name, item) in enumerate(items):
            key = f"{json.dumps(name, ensure_ascii=False)}: " if is_object else ""
            _put(f"{',' if index else ''}{inner}{key}", pieces, budget)
            _print(item, inner, pieces, budget)
            if budget[0] < 0:
                return
        _put(newline + ("}" if is_object else "]"), pieces, budget)
    else:
        printed = value[:_MAX_TEXT] if isinstance(value, str) else value
        _put(json.dumps(printed, ensure_ascii=False), pieces, budget)


def _put(piece: str, pieces: list[str], budget: list[int]) -> None:
    pieces.append(piece)
    budget[0] -= len(piece)


def kind(value: Any) -> str:
    """Returns RapidJSON's name for a value's type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    for types, name in ((dict, "Object"), (list, "Array"), (str, "String")):
        if isinstance(value, types):
            return name
    return "Number"


def _may_repeat_keys(body: bytes, document: dict[str, Any]) -> bool:
    """Tells whether an object may have had a key twice, of which orjson keeps the last.

    Each key brings a colon, so as many colons as keys in the usual places mean that no key is
    missing.
    """
    keys = len(document)
    for value in document.values():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                keys += len(item)
                keys += sum(len(inner) for inner in item.values() if isinstance(inner, dict))
    return body.count(b":") != keys


def _parse_slowly(body: bytes) -> Any:
    text = body.removeprefix(_BOM).partition(b"\0")[0]  # RapidJSON stops at a zero byte
    source = text.decode(errors="surrogateescape")
    source = _NON_FINITE.sub(_python_spelling, source)
    return json.loads(source, object_pairs_hook=_first_wins, parse_int=_integer, strict=False)


def _python_spelling(match: re.Match[str]) -> str:
    token = match[0]
    if token[0] == '"':
        return token
    return "NaN" if token.endswith("NaN") else "-" * (token[0] == "-") + "Infinity"


def _integer(digits: str) -> int | float:
    """Returns a number without fraction; beyond 64 bits RapidJSON makes it a double."""
    return int(digits) if len(digits) < 19 or -(2**63) <= int(digits) < 2**64 else float(digits)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeated(reversed(pairs))
