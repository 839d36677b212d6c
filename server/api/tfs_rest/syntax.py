"""What is wrong with a JSON document, in RapidJSON's words and at its offsets.

Source: rapidjson/reader.h and rapidjson/error/en.h, with kParseNanAndInfFlag.
"""

from __future__ import annotations

import re

MAX_DEPTH = 512
_MAX_EXPLAINED = 8 * 2**20  # a longer body gets the plain parser's position

_SPACE = re.compile(rb"[ \t\r\n]*+")
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
# Runs of plain numbers and commas, which make up most of a long document.
_NUMBERS = re.compile(rb"(?:" + _NUMBER + rb"[ \t\r\n]*+,[ \t\r\n]*+){1,4096}+")
_HUGE = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{309}")
_DIGITS = re.compile(rb"[0-9]*+")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*+')
_WORDS = {ord("n"): b"null", ord("t"): b"true", ord("f"): b"false"}
_HEX = frozenset(b"0123456789abcdefABCDEF")


class _SyntaxError(Exception):
    """An error's text and offset."""


def find_error(body: bytes, position: int) -> str | None:
    """Returns `<text> at offset: <n>`, or None where RapidJSON takes the document.

    Args:
        body: The document.
        position: Where another parser stopped, for documents too long to be looked at.
    """
    if len(body) > _MAX_EXPLAINED:
        return f"Invalid value. at offset: {position}"
    try:
        _Scanner(body).scan()
    except _SyntaxError as error:
        text, offset = error.args
        return f"{text} at offset: {offset}"
    return None


class _Scanner:
    """Walks over a document without building it; a stack in place of recursion."""

    def __init__(self, body: bytes) -> None:
        self._body = body + b"\0"  # RapidJSON's streams end with a zero
        self._at = 3 if body.startswith(b"\xef\xbb\xbf") else 0

    def scan(self) -> None:
        self._skip_space()
        if not self._peek():
            self._fail("The document is empty.")
        closers: list[int] = []
        while True:
            if self._opens(closers):
                continue
            while closers and not self._continues(closers[-1]):
                closers.pop()
                self._at += 1
                self._skip_space()
            if not closers:
                break
        self._skip_space()
        if self._peek():
            self._fail("The document root must not be followed by other values.")

    def _opens(self, closers: list[int]) -> bool:
        """Passes over a value's beginning; True where the value of a member is next."""
        char = self._peek()
        if char in b"[{" and char:
            closers.append(ord("]") if char == ord("[") else ord("}"))
            if len(closers) > MAX_DEPTH:
                self._fail(f"Nesting is deeper than {MAX_DEPTH} levels.")
            self._at += 1
            self._skip_space()
            if self._peek() == closers[-1]:
                closers.pop()
                self._at += 1
            elif char == ord("{"):
                self._name()
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
        self._skip_space()
        return False

    def _continues(self, closer: int) -> bool:
        """Passes a comma and what leads to the next value; False at the container's end."""
        char = self._peek()
        if char == ord(","):
            self._at += 1
            self._skip_space()
            if closer == ord("}"):
                self._name()
            else:
                self._skip_numbers()
            return True
        if char == closer:
            return False
        if closer == ord("}"):
            self._fail("Missing a comma or } after an object member.")
        self._fail("Missing a comma or ] after an array element.")
        return False

    def _name(self) -> None:
        if self._peek() != ord('"'):
            self._fail("Missing a name for object member.")
        self._string()
        self._skip_space()
        if self._peek() != ord(":"):
            self._fail("Missing a colon after a name of object member.")
        self._at += 1
        self._skip_space()

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
                self._fail("Invalid encoding in string.")
            else:
                self._fail("Missing a closing quotation mark in string.")

    def _escape(self) -> None:
        start = self._at
        char = self._body[start + 1]
        self._at += 2
        if char == ord("u"):
            code = self._hex(start)
            if 0xDC00 <= code <= 0xDFFF:
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
        raise _SyntaxError(text, self._at if offset is None else offset)
