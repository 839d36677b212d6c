"""NaN and the infinities, which RapidJSON takes for numbers and other parsers don't."""

from __future__ import annotations

import math

import numpy as np

_SPACE = b" \t\r\n"
# One byte each for NaN, Infinity and -Infinity.
_WORDS = (
    (b"-Infinity", b"\x03"), (b"Infinity", b"\x02"), (b"-Inf", b"\x03"), (b"Inf", b"\x02"),
    (b"-NaN", b"\x01"), (b"NaN", b"\x01"),
)  # fmt: skip
_VALUES = np.array([0, math.nan, math.inf, -math.inf])
_ZEROS = bytes.maketrans(b"\x01\x02\x03", b"000")
_AROUND = np.isin(np.arange(256), list(b"[]," + _SPACE))


def replaced(text: bytes) -> tuple[bytes, bool]:
    """Puts a byte in place of each NaN and infinity; tells whether there are any."""
    has_infinity = b"I" in text
    if not (has_infinity or b"N" in text):
        return text, False
    if b"\x01" in text or b"\x02" in text or b"\x03" in text:
        return b"", False  # no JSON anyway
    for word, mark in _WORDS if has_infinity else _WORDS[-2:]:
        text = text.replace(word, mark)
    return text, True


def positions(text: bytes) -> np.ndarray:
    """Returns where words stand; none at all where one touches a number."""
    codes = np.frombuffer(text, np.uint8)
    found = np.flatnonzero((codes >= 1) & (codes <= 3))
    if not found.size or found[0] == 0 or found[-1] == len(text) - 1:
        return found[:0]
    is_apart = _AROUND[codes[found - 1]].all() and _AROUND[codes[found + 1]].all()
    return found if is_apart else found[:0]


def values(text: bytes, places: np.ndarray) -> np.ndarray:
    """Returns the values of the words at places, as float64."""
    found: np.ndarray = _VALUES[np.frombuffer(text, np.uint8)[places]]
    return found


def zeroed(text: bytes) -> bytes:
    """Returns the text with a zero in place of each word."""
    return text.translate(_ZEROS)
