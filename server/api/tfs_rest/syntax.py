"""What is wrong with a JSON document, in RapidJSON's words and at its offsets.

Source: rapidjson 1.1.0, reader.h (IterativeParse) and error/en.h, with the flags of
tensorflow_serving/util/json_tensor.cc: iterative, NaN and Infinity, stop when done.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SPACE = re.compile(rb"[ \t\r\n]*+")
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
# Runs of plain numbers and commas, which make up most of a long document.
_NUMBERS = re.compile(rb"(?:" + _NUMBER + rb"[ \t\r\n]*+,[ \t\r\n]*+){1,4096}+")
_HUGE = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{309}")
_DIGITS = re.compile(rb"[0-9]*+")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*+')
_WORDS = {ord("n"): b"null", ord("t"): b"true", ord("f"): b"false"}
_HEX = frozenset(b"0123456789abcdefABCDEF")


class SyntaxProblem(Exception):
    """A document that RapidJSON refuses.

    Attributes:
        text: What is wrong.
        offset: In bytes.
    """

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(f"{text} at offset: {offset}")
        self.text, self.offset = text, offset


class Member(NamedTuple):
    """A member of a document's root, where that is an object.

    Attributes:
        name: Where its name is, quotation marks included.
        value: Where its value is.
        depth: How many lists and objects are in one another at most, the root included.
    """

    name: slice
    value: slice
    depth: int


class Extent(NamedTuple):
    """How far a document's root reaches; what follows it is ignored.

    Attributes:
        end: The offset behind it.
        depth: How many lists and objects are in one another at most.
        members: Of the root.
    """

    end: int
    depth: int
    members: list[Member]


def check(body: bytes | bytearray) -> Extent:
    """Walks over a document's root without building it, however deep it is.

    Raises:
        SyntaxProblem: RapidJSON doesn't take it.
    """
    return _Scanner(body).scan()


class _Scanner:
    """Walks over a document; a stack in place of recursion."""

    def __init__(self, body: bytes | bytearray) -> None:
        self._body = body + b"\0"  # RapidJSON's streams end with a zero
        self._at = 3 if body.startswith(b"\xef\xbb\xbf") else 0
        self._key, self._value = slice(0), 0  # of the root's member that is being read

    def scan(self) -> Extent:
        self._skip_space()
        if not self._peek() or self._peek() in b"]},:":
            self._fail("The document is empty.")
        closers: list[int] = []
        members: list[Member] = []
        depth = deepest = 0
        while True:
            if self._opens(closers):
                depth = max(depth, len(closers))
                continue
            while closers:
                if len(closers) == 1 and closers[0] == ord("}"):
                    members.append(Member(self._key, slice(self._value, self._at), depth))
                    depth, deepest = 1, max(depth, deepest)
                self._skip_space()
                if self._continues(closers):
                    break
                closers.pop()
                self._at += 1
            if not closers:
                return Extent(self._at, max(depth, deepest), members)

    def _opens(self, closers: list[int]) -> bool:
        """Passes over a value's beginning; True where the value of a member is next."""
        char = self._peek()
        if char in b"[{" and char:
            closers.append(ord("]") if char == ord("[") else ord("}"))
            self._at += 1
            self._skip_space()
            if self._peek() == closers[-1]:
                closers.pop()
                self._at += 1
            elif char == ord("{"):
                self._name(len(closers))
                return True
            else:
                self._skip_numbers()
                return True
        elif char == ord('"'):
            self._string()
        elif char in _WORDS:
            self._word(_WORDS[char])
        else:
            self._number()
        return False

    def _continues(self, closers: list[int]) -> bool:
        """Passes a comma and what leads to the next value; False at the container's end."""
        closer = closers[-1]
        char = self._peek()
        if char == ord(","):
            self._at += 1
            self._skip_space()
            if closer == ord("}"):
                self._name(len(closers))
            else:
                self._skip_numbers()
            return True
        if char == closer:
            return False
        if closer == ord("}"):
            self._fail("Missing a comma or '}' after an object member.")
        self._fail("Missing a comma or ']' after an array element.")
        return False

    def _name(self, level: int) -> None:
        if self._peek() != ord('"'):
            self._fail("Missing a name for object member.")
        start = self._at
        self._string()
        if level == 1:
            self._key = slice(start, self._at)
        self._skip_space()
        if self._peek() != ord(":"):
            self._fail("Missing a colon after a name of object member.")
        self._at += 1
        self._skip_space()
        if level == 1:
            self._value = self._at

    def _string(self) -> None:
        self._at += 1
        while True:
            self._at = _PLAIN.match(self._body, self._at).end()  # type: ignore[union-attr]
            char = self._peek()
            if char == ord('"'):
                self._at += 1
                return
            if char == ord("\\"):
                self._escape()
            elif char:
                self._fail("Invalid escape character in string.")
            else:
                self._fail("Missing a closing quotation mark in string.")

    def _escape(self) -> None:
        start = self._at
        char = self._body[start + 1]
        self._at += 2
        if char == ord("u"):
            code = self._hex(start)
            if 0xDC00 <= code <= 0xDFFF:  # which RapidJSON writes on, as no UTF-8
                self._fail("The surrogate pair in string is invalid.", start)
            if 0xD800 <= code < 0xDC00:
                if self._body[self._at : self._at + 2] != b"\\u":
                    self._fail("The surrogate pair in string is invalid.", start)
                self._at += 2
                if not 0xDC00 <= self._hex(start) <= 0xDFFF:
                    self._fail("The surrogate pair in string is invalid.", start)
        elif char not in b'"\\/bfnrt' or not char:
            self._fail("Invalid escape character in string.", start)

    def _hex(self, start: int) -> int:
        digits = self._body[self._at : self._at + 4]
        if len(digits) < 4 or not _HEX.issuperset(digits):
            self._fail("Incorrect hex digit after \\u escape in string.", start)
        self._at += 4
        return int(digits, 16)

    def _word(self, word: bytes) -> None:
        for char in word:
            if self._peek() != char:
                self._fail("Invalid value.")
            self._at += 1

    def _number(self) -> None:
        start = self._at
        if self._peek() == ord("-"):
            self._at += 1
        if self._peek() == ord("N"):
            return self._word(b"NaN")
        if self._peek() == ord("I"):
            self._word(b"Inf")
            return self._word(b"inity") if self._peek() == ord("i") else None
        if self._peek() == ord("0"):
            self._at += 1
        elif not self._digits():
            self._fail("Invalid value.")
        if self._peek() == ord("."):
            self._at += 1
            if not self._digits():
                self._fail("Miss fraction part in number.")
        if self._peek() in b"eE" and self._peek():
            self._at += 1
            if self._peek() in b"+-" and self._peek():
                self._at += 1
            if not self._digits():
                self._fail("Miss exponent in number.")
        if float(self._body[start : self._at]) in (float("inf"), float("-inf")):
            self._fail("Number too big to be stored in double.", start)
        return None

    def _digits(self) -> bool:
        start = self._at
        self._at = _DIGITS.match(self._body, start).end()  # type: ignore[union-attr]
        return self._at > start

    def _skip_numbers(self) -> None:
        while match := _NUMBERS.match(self._body, self._at):
            if _HUGE.search(match[0]):
                return
            self._at = match.end()

    def _skip_space(self) -> None:
        self._at = _SPACE.match(self._body, self._at).end()  # type: ignore[union-attr]

    def _peek(self) -> int:
        return self._body[self._at]

    def _fail(self, text: str, offset: int | None = None) -> None:
        raise SyntaxProblem(text, self._at if offset is None else offset)
