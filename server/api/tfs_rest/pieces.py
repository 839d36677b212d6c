"""Long documents, cut into pieces that are read one after the other.

A call of a parser written in C keeps all other threads waiting, and Python values take up to fifty
times a document's size. So a long document is never built: its brackets are found block by block,
and groups of whole elements are read as they come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from server.api.tfs_rest import document, syntax
from server.errors import ServingError, invalid

LONG = 512 * 1024  # bytes from which on a document is cut
BLOCK = 128 * 1024  # bytes that are looked at at a time
_MAX_NUMBER = 64 * 1024  # digits
_MAX_MEMBERS = 10_000  # of a root; others than the API's are ignored
_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_NAME = re.compile(rb'[ \t\r\n]*+("(?:[^"\\\x00-\x1f]|\\.)*+")[ \t\r\n]*+:[ \t\r\n]*+')
_BASE64 = re.compile(rb'\{[ \t\r\n]*+"b64"[ \t\r\n]*+:[ \t\r\n]*+"')
_SHOWN = 8192  # bytes of a long string that an error text may need
_CLOSERS = {ord("["): b"]", ord("{"): b"}"}


class Span(NamedTuple):
    """A list or an object of a document, not read yet.

    Attributes:
        body: The document.
        start: Where its bracket is.
        end: Up to where there is nothing else, spaces excepted; None: the rest of the document.
    """

    body: bytes
    start: int
    end: int | None

    @property
    def is_list(self) -> bool:
        """Whether it isn't an object."""
        return self.body[self.start] == ord("[")

    @property
    def capacity(self) -> int:
        """How many values it holds at most: each takes a byte, and a comma."""
        return ((self.end or len(self.body)) - self.start) // 2 + 1

    def size(self) -> int:
        """Returns how many elements it has."""
        commas = 0
        for start, found, end in scan(self.body, self.start):
            commas += len(found)
            if end is not None:
                is_empty = not self.body[self.start + 1 : start + end].strip(_SPACE)
                return 0 if not commas and is_empty else commas + 1
        return commas + 1

    def groups(self) -> Iterator[Group | Any]:
        """Reads a list.

        Yields:
            Some whole elements; or, where one is longer than a group, its `Span` or `Text`; its
            value where it is none of these, or base64.

        Raises:
            ServingError: INVALID_ARGUMENT, the document isn't JSON.
        """
        for cut in self._cuts():
            if cut.end - cut.start > 2 * BLOCK:
                yield self._long_element(cut.start, cut.end)
            else:
                yield Group(b"[" + self.body[cut.start : cut.end] + b"]", cut.start - 1)

    def members(self) -> Iterator[tuple[str, Any]]:
        """Reads an object: names and values, long ones as spans.

        Raises:
            ServingError: INVALID_ARGUMENT, the document isn't JSON.
        """
        for cut in self._cuts():
            if cut.end - cut.start > 2 * BLOCK:
                match = _NAME.match(self.body, cut.start, cut.end)
                if match is None:
                    text = b"{" + self.body[cut.start : cut.start + BLOCK]
                    raise explain(text, cut.start - 1)
                name = Group(match[1], match.start(1)).values()
                yield name, self._long_element(match.end(), cut.end)
            else:
                text = b"{" + self.body[cut.start : cut.end] + b"}"
                yield from Group(text, cut.start - 1).values().items()

    def _long_element(self, start: int, end: int) -> Any:
        start = _skip_space(self.body, start, end)
        if start == end:
            raise document.ParseError(f"Invalid value. at offset: {end}")
        if self.body[start] == ord('"'):
            return Text(self.body, start, end)
        if self.body[start] in _CLOSERS and not _BASE64.match(self.body, start, end):
            return Span(self.body, start, end)
        if self.body[start] not in _CLOSERS:
            text = self.body[start : min(end, start + _MAX_NUMBER)].rstrip(_SPACE)
            if _skip_space(self.body, start + len(text), end) < end:
                what = "Number too big to be stored in double."  # what else would be as long?
                raise document.ParseError(f"{what} at offset: {start}")
            return Group(text, start).values()
        return Group(self.body[start:end].rstrip(_SPACE), start).values()

    def _cuts(self) -> Iterator[Cut]:
        """Cuts it, and checks what is between the cuts; an empty one has none."""
        body, opener = self.body, self.body[self.start : self.start + 1]
        for cut in cuts(body, self.start):
            if cut.is_last:
                if body[cut.end : cut.end + 1] != _CLOSERS[opener[0]]:
                    begin = max(cut.start, cut.end - 2 * BLOCK)
                    raise explain(opener + body[begin : cut.end + 1], begin - 1)
                if self.end is not None:
                    behind = _skip_space(body, cut.end + 1, self.end)
                    if behind < self.end:
                        text = "Missing a comma or '}' after an object member."
                        raise document.ParseError(f"{text} at offset: {behind}")
            elif not cut.is_closed:
                if cut.end - cut.start <= 2 * BLOCK:
                    raise explain(opener + body[cut.start :], cut.start - 1)
                raise document.ParseError(
                    f"Missing a comma or ']' after an array element. at offset: {len(body)}"
                )
            if cut.end - cut.start <= 2 * BLOCK and not body[cut.start : cut.end].strip(_SPACE):
                if cut.is_last and cut.start == self.start + 1:
                    return
                kind = "Invalid value." if opener == b"[" else "Missing a name for object member."
                raise document.ParseError(f"{kind} at offset: {cut.end}")
            yield cut


class Text(NamedTuple):
    """A long string of a document, not read yet.

    Attributes:
        body: The document.
        start: Where its quotation mark is.
        end: Up to where there is nothing else, spaces excepted.
    """

    body: bytes
    start: int
    end: int

    def value(self) -> Any:
        """Reads it.

        Raises:
            ServingError: INVALID_ARGUMENT, it isn't JSON.
        """
        return Group(self.body[self.start : self.end].rstrip(_SPACE), self.start).values()


class Group(NamedTuple):
    """Some elements of a list, or members of an object.

    Attributes:
        text: With brackets around them.
        offset: Of the opening one in the document.
    """

    text: bytes
    offset: int

    def values(self) -> Any:
        """Returns them as Python values.

        Raises:
            ServingError: INVALID_ARGUMENT, they aren't JSON.
        """
        found = document.parse_piece(self.text)
        if found is None:
            found = document.parse_quirky(self.text)
        if found is not None:
            return found
        try:
            extent = syntax.check(self.text)
        except syntax.SyntaxProblem:
            raise explain(self.text, self.offset) from None
        if extent.end < len(self.text) and self.text[0] in _CLOSERS:  # a bracket too many
            raise explain(self.text[:1] + self.text[extent.end :], self.offset + extent.end - 1)
        return document.value(self.text)


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


def read(body: bytes) -> dict[str, Any]:
    """Returns a long document's root, in which long lists and objects are spans.

    What stands under unused names isn't looked into.

    Raises:
        ServingError: INVALID_ARGUMENT, it isn't JSON, or its root isn't an object.
    """
    start = 3 if body.startswith(_BOM) else 0
    start = _skip_space(body, start, len(body))
    opener = body[start : start + 1]
    if opener == b"[":
        raise document.not_object(head(Span(body, start, None)))
    if not opener:
        raise document.ParseError(f"The document is empty. at offset: {len(body)}")
    if opener != b"{":
        try:
            value = Group(body[start : start + _MAX_NUMBER], start).values()
        except document.ParseError:
            if opener != b'"' or len(body) <= start + _MAX_NUMBER:
                raise
            value = document.Unparsed()  # a longer string
        raise document.not_object(value)
    root: dict[str, Any] = {}
    for name, value in Span(body, start, None).members():
        root.setdefault(name, value)
        if len(root) > _MAX_MEMBERS:
            raise invalid(f"The request has more than {_MAX_MEMBERS} keys")
    return root


def head(value: Any, depth: int = 4) -> Any:
    """Returns the beginning of what a span stands for, as much as an error text shows."""
    if isinstance(value, dict):
        return {name: head(item, depth) for name, item in value.items()}
    if isinstance(value, Text):
        if value.end - value.start <= _SHOWN:
            return value.value()
        shown = value.body[value.start + 1 : value.start + _SHOWN]
        return shown.partition(b"\\")[0].decode(errors="replace")
    if not isinstance(value, Span):
        return value
    if not depth:
        return document.Unparsed()
    if not value.is_list:
        return {name: head(item, depth - 1) for name, item in _some(value.members())}
    found: list[Any] = []
    for group in _some(value.groups()):
        values = group.values() if isinstance(group, Group) else [head(group, depth - 1)]
        found += values if isinstance(values, list) else [values]
    return found


def _some(items: Iterator[Any]) -> Iterator[Any]:
    for _ in range(4):
        try:
            yield next(items)
        except (StopIteration, ServingError):
            return


def _skip_space(body: bytes, start: int, end: int) -> int:
    """Returns where something else than spaces is, or the end."""
    while start < end:
        block = body[start : min(start + BLOCK, end)]
        if rest := block.lstrip(_SPACE):
            return start + len(block) - len(rest)
        start += len(block)
    return end


def explain(text: bytes, offset: int) -> ServingError:
    """Returns the error for a text that isn't JSON, which begins at an offset of the document."""
    try:
        syntax.check(text)
    except syntax.SyntaxProblem as problem:
        return document.ParseError(f"{problem.text} at offset: {problem.offset + offset}")
    return document.ParseError(f"Invalid value. at offset: {offset + len(text)}")


def cuts(body: bytes, start: int) -> Iterator[Cut]:
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


def scan(body: bytes, start: int) -> Iterator[tuple[int, np.ndarray, int | None]]:
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
