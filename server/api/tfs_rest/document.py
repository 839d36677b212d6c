"""A request's body as Python values, with RapidJSON's rules and error texts.

TensorFlow Serving parses with RapidJSON and its flags for NaN and Infinity and for stopping at the
root's end. Documents without peculiarities go through orjson. What that refuses is either explained
by `syntax`, or is one of RapidJSON's liberties (NaN, Infinity, something behind the root, a byte
order mark, strings that aren't UTF-8) and then goes through the standard library's parser.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from server.api.tfs_rest import syntax
from server.errors import Code, ServingError, invalid

MAX_RANK = 64  # NumPy's limit; what nests deeper is no tensor
_MAX_DEPTH = 256  # of what Python's parser is given, which recurses
_MAX_TEXT = 256  # bytes; kMaxJsonDebugStringBytes
_MAX_STRING = 4096  # of one in a text: the official server prints the one that passes 256 whole
_BOM = b"\xef\xbb\xbf"
# Strings are matched to be skipped. RapidJSON takes Inf and -NaN too, Python's parser doesn't.
_NON_FINITE = re.compile(r'"(?:[^"\\]|\\.)*+"|-?\b(?:Inf(?:inity)?|NaN)\b', re.DOTALL)
# Huge numbers and halves of surrogate pairs, which Python's parser takes and RapidJSON doesn't.
_TAKEN_BY_PYTHON = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{309}|\\u[dD]")
_LONG_INTEGER = re.compile(rb"[0-9]{19}")
# As RapidJSON's Writer escapes; its hexadecimal digits are in upper case.
_ESCAPES = {code: f"\\u{code:04X}" for code in range(32)} | {
    ord(char): escaped
    for char, escaped in {
        '"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"
    }.items()
}  # fmt: skip


class ParseError(ServingError):
    """A document that isn't JSON."""

    def __init__(self, problem: str) -> None:
        super().__init__(Code.INVALID_ARGUMENT, f"JSON Parse error: {problem}")


class Repeated(dict[str, Any]):
    """An object that had a key more than once; the first value counts, as in RapidJSON."""


class Unparsed:
    """Stands for a value that nests too deep to be built, or that nobody has asked for yet."""


def parse(body: bytes) -> dict[str, Any]:
    """Parses a document whose root must be an object.

    Strings that aren't UTF-8 come with surrogate escapes (PEP 383), so no byte is lost.

    Raises:
        ServingError: INVALID_ARGUMENT, `JSON Parse error: …` or the root isn't an object.
    """
    found = parse_plain(body)
    return parse_odd(body) if found is None else found


def parse_plain(body: bytes) -> dict[str, Any] | None:
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


def parse_piece(text: bytes) -> Any:
    """Parses a list or an object without peculiarities; None where it has some, or is none."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return _parse_slowly(text) if _may_repeat_keys(text, found) else found


def parse_odd(body: bytes) -> dict[str, Any]:
    """Parses any document, many times slower.

    Raises:
        ServingError: as `parse`.
    """
    document = value(body)
    if not isinstance(document, dict):
        raise not_object(document)
    return document


def value(body: bytes) -> Any:
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
        return _members(body, extent) if extent.members else Unparsed()
    return _parse_slowly(body[: extent.end])


def parse_quirky(body: bytes) -> Any:
    """Parses what Python's parser takes as RapidJSON does; None where it doesn't, or is null."""
    if _TAKEN_BY_PYTHON.search(body):
        return None
    try:
        return _parse_slowly(body)
    except (ValueError, RecursionError):
        return None


def not_object(root: Any) -> ServingError:
    """Returns the error for a document that isn't an object."""
    return invalid(f"JSON Value: {text(root)} Is not object")


def text(value: Any) -> str:
    """Returns a value for an error message, as JsonValueToDebugString in json_tensor.cc prints it.

    Arrays stand on one line, objects are indented by four spaces; no value begins behind 256 bytes.
    """
    printer = _Printer()
    printer.print(value, 0)
    return "".join(printer.pieces).encode(errors="surrogateescape").decode(errors="replace")


class _Printer:
    """RapidJSON's PrettyWriter with kFormatSingleLineArray, and Serving's limit."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._size = 0

    def print(self, value: Any, level: int) -> bool:
        """Prints a value; False where the limit is passed, or a number has no text."""
        if self._size >= _MAX_TEXT:
            return False
        if isinstance(value, dict):
            return self._object(value, level)
        if isinstance(value, list):
            return self._array(value, level)
        printed = _scalar(value)
        self._put(printed)
        return bool(printed)

    def _object(self, value: dict[str, Any], level: int) -> bool:
        self._put("{")
        inner = "\n" + "    " * (level + 1)
        for index, (name, item) in enumerate(value.items()):
            if self._size >= _MAX_TEXT:
                return False
            self._put(f"{',' if index else ''}{inner}{_string(name)}")
            if self._size >= _MAX_TEXT:
                return False
            self._put(": ")
            if not self.print(item, level + 1):
                return False
        if self._size >= _MAX_TEXT:
            return False
        self._put("}" if not value else "\n" + "    " * level + "}")
        return True

    def _array(self, value: list[Any], level: int) -> bool:
        self._put("[")
        for index, item in enumerate(value):
            if self._size >= _MAX_TEXT:
                return False
            if index:
                self._put(", ")
            if not self.print(item, level + 1):
                return False
        if self._size >= _MAX_TEXT:
            return False
        self._put("]")
        return True

    def _put(self, piece: str) -> None:
        self.pieces.append(piece)
        self._size += len(piece.encode(errors="surrogateescape"))


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Unparsed):
        return "…"
    return _decimal(value) if isinstance(value, float) else str(value)


def _string(value: str) -> str:
    cut = value if len(value) <= _MAX_STRING else value[:_MAX_STRING] + "…"
    return f'"{cut.translate(_ESCAPES)}"'


def _decimal(value: float) -> str:
    """Prints a double as RapidJSON does (dtoa.h, Prettify); NaN and infinity as nothing."""
    if not math.isfinite(value):
        return ""
    sign = "-" if math.copysign(1, value) < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)  # before which digit the decimal point is
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0") or "0"
    if not value:
        return f"{sign}0.0"
    if len(digits) <= point <= 21:
        return f"{sign}{digits.ljust(point, '0')}.0"
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1}"


def kind(value: Any) -> str:
    """Returns RapidJSON's name for a value's type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    for types, name in ((dict, "Object"), (list | Unparsed, "Array"), (str, "String")):
        if isinstance(value, types):
            return name
    return "Number"


def _may_repeat_keys(body: bytes, root: Any) -> bool:
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


def _parse_slowly(text: bytes) -> Any:
    text = text.removeprefix(_BOM)
    source = text.decode(errors="surrogateescape")
    if b"-NaN" in text or text.count(b"Inf") != text.count(b"Infinity"):
        source = _NON_FINITE.sub(_python_spelling, source)
    parse_int = _integer if _LONG_INTEGER.search(text) else None
    return json.loads(source, object_pairs_hook=_first_wins, parse_int=parse_int)


def _members(body: bytes, extent: syntax.Extent) -> dict[str, Any]:
    """Parses an object of which a value is too deep to be built."""
    found: dict[str, Any] = {}
    for member in extent.members:
        is_deep = member.depth > _MAX_DEPTH
        parsed = Unparsed() if is_deep else _parse_slowly(body[member.value])
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
    return found if len(found) == len(pairs) else Repeated(reversed(pairs))
