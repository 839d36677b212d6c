"""Predict requests whose input is one array of plain numbers, without an object a number.

simdjson validates and converts the array as a whole. Whatever isn't clear-cut (named rows,
ragged lists, NaN, numbers beyond 64 bits, errors of any kind) is left to `document` and
`tensors`, so that values and error texts are theirs.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import simdjson

from server.errors import ServingError
from server.rest import document

_MAX_ENVELOPE_BYTES = 4096
_MAX_KEPT_BYTES = 4096
_KEPT = 64  # requests differ in their numbers, seldom in what is around them
_MAX_RANK = 64  # NumPy's
_IN_NUMBERS = b"0123456789+-.eE \t\r\n"
# Stands for the array while what is around it is parsed.
_PLACEHOLDER = "array 9c0e4f51"


class Envelope(dict[str, Any]):
    """A request's object in which `array` stands for the placeholder."""

    def __init__(self, members: dict[str, Any], array: np.ndarray, body: bytes) -> None:
        super().__init__(members)
        self.array = array
        self._body = body

    def plain(self) -> dict[str, Any]:
        """Returns the whole document as `document.parse` does."""
        return document.parse(self._body)


def parse(body: bytes) -> dict[str, Any]:
    """Parses a predict request: an `Envelope` where that does, else as `document.parse`.

    Raises:
        ServingError: as `document.parse`.
    """
    return _parse(body) or document.parse(body)


def _parse(body: bytes) -> Envelope | None:
    start, end = body.find(b"["), body.rfind(b"]") + 1
    if not 0 <= start < end or len(body) - (end - start) > _MAX_ENVELOPE_BYTES:
        return None
    around = body[:start] + b'"' + _PLACEHOLDER.encode() + b'"' + body[end:]
    if b"\\" in around or around.count(_PLACEHOLDER.encode()) != 1:
        return None
    text = body[start:end]
    if b"{" in text or b'"' in text:
        return None
    array = _array(text)
    if array is None:
        return None
    members = _members(around)
    if members is None or _PLACEHOLDER not in (members.get("instances"), members.get("inputs")):
        return None
    if not isinstance(members.get("signature_name", ""), str):
        return None
    return Envelope(members, array, body)


@functools.lru_cache(_KEPT)
def _members(around: bytes) -> dict[str, Any] | None:
    try:
        return document.parse(around)
    except ServingError:
        return None


def _array(text: bytes) -> np.ndarray | None:
    """Returns a JSON array of numbers, int64 or float64; None where it isn't a regular one."""
    brackets = text.translate(None, _IN_NUMBERS)
    shape = _known_shape(brackets) if len(brackets) <= _MAX_KEPT_BYTES else _shape(brackets)
    if shape is None:
        return None
    has_fractions = b"." in text or b"e" in text or b"E" in text
    try:
        found: Any = simdjson.Parser().parse(text)
        buffer = found.as_buffer(of_type="d" if has_fractions else "i")
    except (ValueError, TypeError, RuntimeError):
        return None
    array = np.frombuffer(buffer, np.float64 if has_fractions else np.int64)
    return array.reshape(shape) if array.size == math.prod(shape) else None


@functools.lru_cache(_KEPT)
def _known_shape(brackets: bytes) -> tuple[int, ...] | None:
    return _shape(brackets)


def _shape(brackets: bytes) -> tuple[int, ...] | None:
    """Returns the shape that a text of nothing but brackets and commas describes, if it has one."""
    rank = len(brackets) - len(brackets.lstrip(b"["))
    if rank > _MAX_RANK:
        return None
    shape: list[int] = []
    unit = b""
    for level in range(1, rank + 1):
        # The first list of this level ends where as many lists end at once.
        end = brackets.find(b"]" * level) + level
        count = (end - (rank - level) - 1) // (len(unit) + 1)
        if end < level or count < 1:
            return None
        shape.append(count)
        unit = b"[" + b",".join([unit] * count) + b"]"
        if len(unit) > len(brackets):
            return None
    return tuple(reversed(shape)) if unit == brackets else None
