"""Long documents, cut into pieces that are read one after the other.

A call of a parser written in C keeps all other threads waiting, and Python values take up to fifty
times a document's size. So a long document is never built: its brackets are found block by block,
and groups of whole elements are read as they come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from server.api.tfs_rest import cutting, document, json_values, syntax
from server.api.tfs_rest.cutting import Cut
from server.errors import ServingError, invalid

LONG = 512 * 1024  # bytes from which on a document is cut
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

    body: bytes | bytearray
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
        for start, found, end in cutting.scan(self.body, self.start):
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
            if cut.end - cut.start > 2 * cutting.BLOCK:
                yield self._long_element(cut.start, cut.end)
            else:
                yield Group(b"[" + self.body[cut.start : cut.end] + b"]", cut.start - 1)

    def members(self) -> Iterator[tuple[str, Any]]:
        """Reads an object: names and values, long ones as spans.

        Raises:
            ServingError: INVALID_ARGUMENT, the document isn't JSON.
        """
        for cut in self._cuts():
            if cut.end - cut.start > 2 * cutting.BLOCK:
                match = _NAME.match(self.body, cut.start, cut.end)
                if match is None:
                    text = b"{" + self.body[cut.start : cut.start + cutting.BLOCK]
                    raise explain(text, cut.start - 1)
                name = Group(bytes(match[1]), match.start(1)).values()
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
            text = _part(self.body, start, min(end, start + _MAX_NUMBER)).rstrip(_SPACE)
            if _skip_space(self.body, start + len(text), end) < end:
                what = "Number too big to be stored in double."  # what else would be as long?
                raise document.ParseError(f"{what} at offset: {start}")
            return Group(text, start).values()
        return Group(_part(self.body, start, end).rstrip(_SPACE), start).values()

    def _cuts(self) -> Iterator[Cut]:
        """Cuts it, and checks what is between the cuts; an empty one has none."""
        body, opener = self.body, _part(self.body, self.start, self.start + 1)
        for cut in cutting.cuts(body, self.start):
            if cut.is_last:
                if body[cut.end : cut.end + 1] != _CLOSERS[opener[0]]:
                    begin = max(cut.start, cut.end - 2 * cutting.BLOCK)
                    raise explain(opener + body[begin : cut.end + 1], begin - 1)
                if self.end is not None:
                    behind = _skip_space(body, cut.end + 1, self.end)
                    if behind < self.end:
                        text = "Missing a comma or '}' after an object member."
                        raise document.ParseError(f"{text} at offset: {behind}")
            elif not cut.is_closed:
                if cut.end - cut.start <= 2 * cutting.BLOCK:
                    raise explain(opener + body[cut.start :], cut.start - 1)
                raise document.ParseError(
                    f"Missing a comma or ']' after an array element. at offset: {len(body)}"
                )
            is_short = cut.end - cut.start <= 2 * cutting.BLOCK
            if is_short and not body[cut.start : cut.end].strip(_SPACE):
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

    body: bytes | bytearray
    start: int
    end: int

    def value(self) -> Any:
        """Reads it.

        Raises:
            ServingError: INVALID_ARGUMENT, it isn't JSON.
        """
        text = _part(self.body, self.start, self.end).rstrip(_SPACE)
        return Group(text, self.start).values()


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


def read(body: bytes | bytearray) -> dict[str, Any]:
    """Returns a long document's root, in which long lists and objects are spans.

    What stands under unused names isn't looked into.

    Raises:
        ServingError: INVALID_ARGUMENT, it isn't JSON, or its root isn't an object.
    """
    start = 3 if body.startswith(_BOM) else 0
    start = _skip_space(body, start, len(body))
    opener = _part(body, start, start + 1)
    if opener == b"[":
        raise document.not_object(head(Span(body, start, None)))
    if not opener:
        raise document.ParseError(f"The document is empty. at offset: {len(body)}")
    if opener != b"{":
        try:
            value = Group(_part(body, start, start + _MAX_NUMBER), start).values()
        except document.ParseError:
            if opener != b'"' or len(body) <= start + _MAX_NUMBER:
                raise
            value = json_values.Unparsed()  # a longer string
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
        return json_values.Unparsed()
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


def _part(body: bytes | bytearray, start: int, end: int) -> bytes:
    """Returns some of a document, copied once."""
    return bytes(memoryview(body)[start:end])


def _skip_space(body: bytes | bytearray, start: int, end: int) -> int:
    """Returns where something else than spaces is, or the end."""
    while start < end:
        block = body[start : min(start + cutting.BLOCK, end)]
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
