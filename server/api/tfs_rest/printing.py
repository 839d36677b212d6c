"""JSON values in error texts, as TensorFlow Serving prints them."""

from __future__ import annotations

import math
from typing import Any

from server.api.tfs_rest.json_values import Unparsed

_MAX_TEXT = 256  # bytes; kMaxJsonDebugStringBytes
_MAX_STRING = 4096  # of one in a text: the official server prints the one that passes 256 whole
# As RapidJSON's Writer escapes; its hexadecimal digits are in upper case.
_ESCAPES = {code: f"\\u{code:04X}" for code in range(32)} | {
    ord(char): escaped
    for char, escaped in {
        '"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"
    }.items()
}  # fmt: skip


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
