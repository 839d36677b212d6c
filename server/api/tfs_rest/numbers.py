"""Predict requests of plain numbers, read without an object a number.

simdjson validates and converts a list as a whole, in each of the ways in which a request may hold
numbers: lists of lists, rows that name their inputs, a list an input. What isn't clear-cut
(ragged lists, rows of other keys than the first, numbers beyond 64 bits, errors) is left to
`document` and `tensors`, so that values and error texts are theirs.
"""

from __future__ import annotations

import functools
import math
import re
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import simdjson

from server.api.tfs_rest import dense, document, skeleton, words
from server.engines.signatures import ModelSignature, TensorInfo
from server.errors import ServingError

_MAX_ENVELOPE_BYTES = 4096
# Requests differ in their numbers, seldom in what is around them.
_KEPT = 32
_MAX_PARSED_BYTES = 2**20  # by a parser that is kept: it keeps about ten times that
_MAX_NAMES = len(skeleton.MARKS)
_EXACT = 2**53  # up to which doubles hold every integer
_SPACE = b" \t\r\n"
# Stands for the array while what is around it is parsed.
_PLACEHOLDER = b"array 9c0e4f51"
_FEW = 8
_NONE = np.empty(0, np.int64)
_IN_NUMBERS = b"0123456789+-.eE\x01\x02\x03" + _SPACE
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NAME = re.compile(rb'"([^"\\\x00-\x1f]*+)"[ \t\r\n]*+:[ \t\r\n]*+')

_parsers = threading.local()  # one parser a thread: new ones cost as much as they parse


class Numbers:
    """A list of a document.

    Attributes:
        array: int64 or float64.
    """

    __slots__ = ("_flat", "_range", "array")

    def __init__(self, array: np.ndarray, flat: _Flat, start: int = 0, end: int = 0) -> None:
        """Takes the numbers, and which of each row of all numbers they are."""
        self.array, self._flat, self._range = array, flat, slice(start, end)

    def of(self, tensor: TensorInfo) -> np.ndarray | None:
        """Returns it in a tensor's dtype; None where that takes other numbers."""
        array = self.array
        found = dense.of_dtype(array, tensor)
        if found is not None or array.dtype.kind != "f":
            return found
        # Doubles, because of the numbers beside them, as integers.
        if self._flat.fractions[self._range].any() or np.abs(array).max() > _EXACT:
            return None
        return dense.of_dtype(array.astype(np.int64), tensor)


Found = Numbers | Mapping[str, Numbers]


class Envelope(dict[str, Any]):
    """A request's object in which the numbers are already read, all of one list or by name."""

    def __init__(self, members: dict[str, Any], numbers: Found, body: bytes) -> None:
        super().__init__(members)
        self.numbers = numbers
        self._body = body

    def plain(self) -> dict[str, Any]:
        """Returns the whole document as `document.parse` does."""
        return document.parse(self._body)


def parse(body: bytes) -> Envelope | None:
    """Parses a predict request of plain numbers; None where it isn't one."""
    start, end = body.find(b"["), body.rfind(b"]") + 1
    if not 0 <= start < end or len(body) - (end - start) > _MAX_ENVELOPE_BYTES:
        return None
    found = _members(body[:start] + b'"' + _PLACEHOLDER + b'"' + body[end:])
    if found is None:
        return None
    members, name = found
    text = body[start:end]
    numbers = read(text) if name is None else _columns(text, name)
    if numbers is None or (name is None and "inputs" in members and isinstance(numbers, Mapping)):
        return None
    return Envelope(members, numbers, body)


def read(text: bytes) -> Found | None:
    """Reads a list of numbers, or of rows of them; None where it isn't a regular one."""
    if b'"' in text:
        return _rows(text)
    clean, has_words = words.replaced(text)
    shape = None if b"{" in clean else skeleton.known_shape(clean.translate(None, _IN_NUMBERS))
    if shape is None:
        return None
    flat = _flat(clean, has_words)
    if flat is None or flat.array.size != math.prod(shape):
        return None
    return Numbers(flat.array.reshape(shape), flat, 0, 1)


def _columns(text: bytes, name: str) -> Mapping[str, Numbers] | None:
    """Reads `[…], "b": […]`, where the first list's name is known."""
    parts = text.split(b'"', 2 * _MAX_NAMES + 1)
    if len(parts) % 2 == 0 or b"\\" in text:
        return None
    found: dict[str, Numbers] = {}
    for index in range(0, len(parts), 2):
        part = parts[index].strip(_SPACE)
        if index:
            if part[:1] != b":":
                return None
            try:
                name = parts[index - 1].decode()
            except UnicodeDecodeError:
                return None
            part = part[1:]
        if index < len(parts) - 1:
            if part[-1:] != b",":
                return None
            part = part[:-1]
        numbers = read(part.strip(_SPACE)) if part else None
        if not isinstance(numbers, Numbers) or name in found:
            return None
        found[name] = numbers
    return found


def _rows(text: bytes) -> Mapping[str, Numbers] | None:
    """Reads `[{"a": 1, "b": [2, 3]}, …]`, where all rows have the first one's names and shapes."""
    opening, closing = text.find(b"{"), text.find(b"}")
    if not 0 < opening < closing or b"\\" in text:
        return None
    first = list(_NAME.finditer(text, opening, closing))
    if not 0 < len(first) <= _MAX_NAMES:
        return None
    names: list[str] = []
    for index, match in enumerate(first):
        text = text.replace(match[0], skeleton.MARKS[index : index + 1])
        try:
            names.append(match[1].decode())
        except UnicodeDecodeError:
            return None
    if b'"' in text or len(set(names)) < len(names):
        return None
    clean, has_words = words.replaced(text)
    brackets = clean.translate(None, _IN_NUMBERS)
    unit = brackets[1 : brackets.find(b"}") + 1]
    number = (len(brackets) - 1) // (len(unit) + 1)
    if brackets != b"[" + (unit + b",") * (number - 1) + unit + b"]":
        return None
    shapes = skeleton.shapes_in(unit, len(names))
    if shapes is None:
        return None
    clean = clean.translate(_BRACKETS, skeleton.MARKS)
    width = sum(map(math.prod, shapes))
    flat = _flat(clean, has_words, width)
    if flat is None or flat.array.size != number * width:
        return None
    table = flat.array.reshape(number, width)
    found: dict[str, Numbers] = {}
    start = 0
    for name, shape in zip(names, shapes, strict=True):
        end = start + math.prod(shape)
        found[name] = Numbers(table[:, start:end].reshape(number, *shape), flat, start, end)
        start = end
    return found


class _Flat:
    """Numbers in their order, in rows of a width."""

    def __init__(self, array: np.ndarray, text: bytes, width: int, others: np.ndarray) -> None:
        """Takes the numbers, their text, and which of them are none of those in the text."""
        self.array = array
        self._text, self._width, self._others = text, width, others

    @functools.cached_property
    def fractions(self) -> np.ndarray:
        """Tells which of a row have a fraction or an exponent somewhere, or are no numbers."""
        codes = np.frombuffer(self._text, np.uint8)
        points = np.flatnonzero((codes == ord(".")) | ((codes | 0x20) == ord("e")))
        found = np.concatenate((_indices(self._text, points), self._others))
        return np.bincount(found % self._width, minlength=self._width) > 0


@functools.lru_cache(_KEPT)
def _members(around: bytes) -> tuple[dict[str, Any], str | None] | None:
    """Returns what is around the array, where the placeholder is the instances or the inputs.

    The name is the input's, where the placeholder is the only member of the inputs.
    """
    if b"\\" in around or around.count(_PLACEHOLDER) != 1:
        return None
    try:
        members = document.parse(around)
    except ServingError:
        return None
    if not isinstance(members.get("signature_name", ""), str):
        return None
    placeholder = _PLACEHOLDER.decode()
    if placeholder in (members.get("instances"), members.get("inputs")):
        return members, None
    match members.get("inputs"):
        case dict() as inputs if list(inputs.values()) == [placeholder]:
            return members, next(iter(inputs))
    return None


def _flat(text: bytes, has_words: bool, width: int = 1) -> _Flat | None:
    """Converts the numbers of nested lists, none of them empty, in their order.

    Args:
        text: Lists and numbers.
        has_words: With bytes for words.
        width: How many make a row.
    """
    indices = _NONE
    if has_words:
        places = words.positions(text)
        if not places.size:
            return None
        values = words.values(text, places)
        indices = _indices(text, places)
        text = words.zeroed(text)
    has_fractions = has_words or b"." in text or b"e" in text or b"E" in text
    try:
        found: Any = _parser(len(text)).parse(text)
        buffer = found.as_buffer(of_type="d" if has_fractions else "i")
    except (ValueError, TypeError, RuntimeError):
        return None
    array = np.frombuffer(buffer, np.float64 if has_fractions else np.int64)
    if has_words:
        array = array.copy()
        array[indices] = values
    return _Flat(array, text, width, indices)


def _parser(size: int) -> simdjson.Parser:
    """Returns a parser for a text of so many bytes: the thread's own, unless that is long."""
    if size > _MAX_PARSED_BYTES:
        return simdjson.Parser()
    parser: simdjson.Parser | None = getattr(_parsers, "kept", None)
    if parser is None:
        parser = _parsers.kept = simdjson.Parser()
    return parser


def _indices(text: bytes, positions: np.ndarray) -> np.ndarray:
    """Returns which number each position belongs to: as many commas are before it."""
    if len(positions) <= _FEW:
        return np.array([text.count(b",", 0, position) for position in positions], np.int64)
    commas = np.frombuffer(text, np.uint8) == ord(",")
    return np.cumsum(commas, dtype=np.int32)[positions]


def of_signature(
    found: Mapping[str, Numbers], signature: ModelSignature
) -> dict[str, np.ndarray] | None:
    """Returns named numbers as inputs; None where they aren't the signature's."""
    if found.keys() != signature.inputs.keys():
        return None
    arrays = {}
    for name, tensor in signature.inputs.items():
        array = found[name].of(tensor)
        if array is None:
            return None
        arrays[name] = array
    return arrays
