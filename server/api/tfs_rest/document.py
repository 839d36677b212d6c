"""A request's body as Python values, with RapidJSON's rules and error texts.

TensorFlow Serving parses with RapidJSON and its flags for NaN and Infinity and for stopping at the
root's end. Documents without peculiarities go through orjson. What that refuses is either explained
by `syntax`, or is one of RapidJSON's liberties (NaN, Infinity, something behind the root, a byte
order mark, strings that aren't UTF-8) and then goes through the standard library's parser.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from server.api.tfs_rest import json_values, printing, syntax
from server.errors import Code, ServingError, invalid

MAX_RANK = 64  # NumPy's limit; what nests deeper is no tensor
_MAX_DEPTH = 256  # of what Python's parser is given, which recurses
_BOM = b"\xef\xbb\xbf"
# Strings are matched to be skipped. RapidJSON takes Inf and -NaN too, Python's parser doesn't.
_NON_FINITE = re.compile(r'"(?:[^"\\]|\\.)*+"|-?\b(?:Inf(?:inity)?|NaN)\b', re.DOTALL)
# Huge numbers and halves of surrogate pairs, which Python's parser takes and RapidJSON doesn't.
_TAKEN_BY_PYTHON = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{309}|\\u[dD]")
_LONG_INTEGER = re.compile(rb"[0-9]{19}")


class ParseError(ServingError):
    """A document that isn't JSON."""

    def __init__(self, problem: str) -> None:
        super().__init__(Code.INVALID_ARGUMENT, f"JSON Parse error: {problem}")


def parse(body: bytes | bytearray) -> dict[str, Any]:
    """Parses a document whose root must be an object.

    Strings that aren't UTF-8 come with surrogate escapes (PEP 383), so no byte is lost.

    Raises:
        ServingError: INVALID_ARGUMENT, `JSON Parse error: …` or the root isn't an object.
    """
    found = parse_plain(body)
    return parse_odd(body) if found is None else found


def parse_plain(body: bytes | bytearray) -> dict[str, Any] | None:
    """Parses a document without peculiarities; None where it has some, or is none.

    Raises:
        ServingError: INVALID_ARGUMENT, the root isn't an object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        raise not_object(document)
    return _parse_slowly(body) if _may_repeat_keys(body, document) else document


def parse_piece(text: bytes | bytearray) -> Any:
    """Parses a list or an object without peculiarities; None where it has some, or is none."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return _parse_slowly(text) if _may_repeat_keys(text, found) else found


def parse_odd(body: bytes | bytearray) -> dict[str, Any]:
    """Parses any document, many times slower.

    Raises:
        ServingError: as `parse`.
    """
    document = value(body)
    if not isinstance(document, dict):
        raise not_object(document)
    return document


def value(body: bytes | bytearray) -> Any:
    """Parses a document of any kind, as `parse_odd`.

    Raises:
        ServingError: INVALID_ARGUMENT, `JSON Parse error: …`
    """
    if not body:
        raise ParseError("The document is empty")
    if (found := parse_quirky(body)) is not None:
        return found
    try:
        extent = syntax.check(body)
    except syntax.SyntaxProblem as problem:
        raise ParseError(str(problem)) from None
    if extent.depth > _MAX_DEPTH:
        return _members(body, extent) if extent.members else json_values.Unparsed()
    return _parse_slowly(body[: extent.end])


def parse_quirky(body: bytes | bytearray) -> Any:
    """Parses what Python's parser takes as RapidJSON does; None where it doesn't, or is null."""
    if _TAKEN_BY_PYTHON.search(body):
        return None
    try:
        return _parse_slowly(body)
    except (ValueError, RecursionError):
        return None


def not_object(root: Any) -> ServingError:
    """Returns the error for a document that isn't an object."""
    return invalid(f"JSON Value: {printing.text(root)} Is not object")


def _may_repeat_keys(body: bytes | bytearray, root: Any) -> bool:
    """Tells whether an object may have had a key twice, of which orjson keeps the last.

    Each key brings a colon, so as many colons as keys in the usual places mean that no key is
    missing.
    """
    colons = body.count(b":")
    if not colons or not isinstance(root, dict | list):
        return False
    keys = 0
    values: Any = (root,)
    for _ in range(4):  # the root, its members, rows, and what is in them
        inner: list[Any] = []
        for value in values:
            if isinstance(value, dict):
                keys += len(value)
                inner += value.values()
            elif isinstance(value, list) and value and isinstance(value[0], dict | list):
                inner += value
        values = inner
    return colons != keys


def _parse_slowly(text: bytes | bytearray) -> Any:
    text = text.removeprefix(_BOM)
    source = text.decode(errors="surrogateescape")
    if b"-NaN" in text or text.count(b"Inf") != text.count(b"Infinity"):
        source = _NON_FINITE.sub(_python_spelling, source)
    parse_int = _integer if _LONG_INTEGER.search(text) else None
    return json.loads(source, object_pairs_hook=_first_wins, parse_int=parse_int)


def _members(body: bytes | bytearray, extent: syntax.Extent) -> dict[str, Any]:
    """Parses an object of which a value is too deep to be built."""
    found: dict[str, Any] = {}
    for member in extent.members:
        is_deep = member.depth > _MAX_DEPTH
        parsed = json_values.Unparsed() if is_deep else _parse_slowly(body[member.value])
        found.setdefault(_parse_slowly(body[member.name]), parsed)
    return found


def _python_spelling(match: re.Match[str]) -> str:
    token = match[0]
    if token[0] == '"':
        return token
    return "NaN" if token.endswith("NaN") else "-" * (token[0] == "-") + "Infinity"


def _integer(digits: str) -> int | float:
    """Returns a number without fraction; beyond 64 bits RapidJSON makes it a double."""
    if len(digits) < 19 or (len(digits) < 21 and -(2**63) <= int(digits) < 2**64):
        return int(digits)
    return float(digits)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else json_values.Repeated(reversed(pairs))
