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

from server.api.tfs_rest import document
from server.errors import ServingError

_MAX_ENVELOPE_BYTES = 4096
# Requests differ in their numbers, seldom in what is around them.
_KEPT = 32
_MAX_KEPT_BYTES = 2**20
_MAX_RANK = 64  # NumPy's
_IN_NUMBERS = b"0123456789+-.eE \t\r\n"
# Stands for the array while what is around it is parsed.
_PLACEHOLDER = b"array 9c0e4f51"

# Only the event loop's thread parses. A parser keeps memory of about ten times what it has parsed.
_parser = simdjson.Parser()
_shapes: dict[int, tuple[bytes, tuple[int, ...]]] = {}  # by the length of the brackets


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
    members = _members(body[:start] + b'"' + _PLACEHOLDER + b'"' + body[end:])
    if members is None:
        return None
    text = body[start:end]
    if b"{" in text or b'"' in text:
        return None
    array = _array(text)
    return None if array is None else Envelope(members, array, body)


@functools.lru_cache(_KEPT)
def _members(around: bytes) -> dict[str, Any] | None:
    """Returns what is around the array, where the placeholder is the instances or the inputs."""
    if b"\\" in around or around.count(_PLACEHOLDER) != 1:
        return None
    try:
        members = document.parse(around)
    except ServingError:
        return None
    if _PLACEHOLDER.decode() not in (members.get("instances"), members.get("inputs")):
        return None
    return members if isinstance(members.get("signature_name", ""), str) else None


def _array(text: bytes) -> np.ndarray | None:
    """Returns a JSON array of numbers, int64 or float64; None where it isn't a regular one."""
    shape = _known_shape(text.translate(None, _IN_NUMBERS))
    if shape is None:
        return None
    has_fractions = b"." in text or b"e" in text or b"E" in text
    parser = _parser if len(text) <= _MAX_KEPT_BYTES else simdjson.Parser()
    try:
        found: Any = parser.parse(text)
        buffer = found.as_buffer(of_type="d" if has_fractions else "i")
    except (ValueError, TypeError, RuntimeError):
        return None
    array = np.frombuffer(buffer, np.float64 if has_fractions else np.int64)
    return array.reshape(shape) if array.size == math.prod(shape) else None


def _known_shape(brackets: bytes) -> tuple[int, ...] | None:
    known = _shapes.get(len(brackets))
    if known is not None and known[0] == brackets:
        return known[1]
    shape = _shape(brackets)
    if shape is not None and len(brackets) <= _MAX_KEPT_BYTES:
        if len(_shapes) == _KEPT:
            del _shapes[next(iter(_shapes))]
        _shapes[len(brackets)] = brackets, shape
    return shape


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
