"""Where a long list or object is cut: its commas and its end, found block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

BLOCK = 128 * 1024  # bytes that are looked at at a time


class Cut(NamedTuple):
    """Whole elements of a list or object.

    Attributes:
        start: Of the first.
        end: Where the comma or bracket behind the last is.
        is_closed: The document doesn't end within them.
        is_last: There are no more.
    """

    start: int
    end: int
    is_closed: bool = True
    is_last: bool = False


def cuts(body: bytes | bytearray, start: int) -> Iterator[Cut]:
    """Cuts the list or object at `start` into groups of whole elements, of up to two blocks each.

    One element that is longer is a group of its own.
    """
    begin = start + 1
    for at, commas, end in scan(body, start):
        if commas.size and at + int(commas[0]) - begin > BLOCK:
            yield Cut(begin, at + int(commas[0]))
            begin = at + int(commas[0]) + 1
            commas = commas[1:]
        if commas.size:
            yield Cut(begin, at + int(commas[-1]))
            begin = at + int(commas[-1]) + 1
        if end is not None:
            yield Cut(begin, at + end, is_last=True)
            return
    yield Cut(begin, len(body), is_closed=False)


def scan(body: bytes | bytearray, start: int) -> Iterator[tuple[int, np.ndarray, int | None]]:
    """Goes through the list or object at `start` block by block, up to its end.

    Yields:
        Where the block begins, and from there: where its commas are, and its end if it is there.
    """
    scanner = _Scan()
    for at in range(start + 1, len(body), BLOCK):
        size = min(BLOCK, len(body) - at)
        commas, end = scanner.block(np.frombuffer(body, np.uint8, size, at))
        yield at, commas, end
        if end is not None:
            return


class _Scan:
    """Finds the commas of one list or object, and its end, block by block.

    NumPy's loops let go of the GIL.
    """

    def __init__(self) -> None:
        self._depth = 1
        self._in_string = False
        self._is_escaped = False  # the next block's first byte

    def block(self, codes: np.ndarray) -> tuple[np.ndarray, int | None]:
        """Returns where in a block the commas are, up to the end, and the end if it is there."""
        folded = codes | 0x20  # brackets and braces differ in this bit
        steps = (folded == ord("{")).view(np.int8) - (folded == ord("}")).view(np.int8)
        is_comma = codes == ord(",")
        inside = self._strings(codes)
        if inside is not None:
            steps[inside] = 0
            is_comma &= ~inside
        depths = np.cumsum(steps, dtype=np.int32)
        depths += self._depth
        self._depth = int(depths[-1])
        is_comma &= depths == 1
        commas = np.flatnonzero(is_comma)
        ends = np.flatnonzero(depths == 0)
        if not ends.size:
            return commas, None
        end = int(ends[0])
        return commas[: np.searchsorted(commas, end)], end

    def _strings(self, codes: np.ndarray) -> np.ndarray | None:
        """Tells which bytes are in strings; None where none is."""
        quotes = codes == ord('"')
        escapes = np.flatnonzero(codes == ord("\\"))
        if escapes.size or self._is_escaped:
            self._unquote(quotes, escapes)
        if not quotes.any():
            return np.ones(len(codes), bool) if self._in_string else None
        inside = np.cumsum(quotes, dtype=np.int32) & 1 != self._in_string
        self._in_string = bool(inside[-1])
        return inside

    def _unquote(self, quotes: np.ndarray, escapes: np.ndarray) -> None:
        """Takes escaped quotation marks away: each second backslash of a run escapes nothing."""
        size = len(quotes)
        if self._is_escaped:
            quotes[0] = False
        if not escapes.size:
            self._is_escaped = False
            return
        begins = np.flatnonzero(np.diff(escapes, prepend=-2) != 1)
        lengths = np.diff(np.append(begins, len(escapes)))
        ranks = np.arange(len(escapes)) - np.repeat(begins, lengths)
        if self._is_escaped and escapes[0] == 0:
            ranks[: lengths[0]] += 1  # the run began in the block before
        escaped = escapes[ranks % 2 == 0] + 1
        self._is_escaped = bool(escaped.size and escaped[-1] == size)
        quotes[escaped[escaped < size]] = False
