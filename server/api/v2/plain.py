"""Requests whose only data are a flat list of plain numbers, read without an object a number."""

from __future__ import annotations

import re
from typing import Any

import orjson

from server.api.tfs_rest import numbers
from server.api.tfs_rest.numbers import Numbers

_DATA = re.compile(rb'"data"[ \t\r\n]*+:[ \t\r\n]*+\[')
# None of it is in plain numbers; words for NaN and infinities are for another parser.
_NOT_PLAIN = (b'"', b"[", b"{", b"N", b"I")


def parse(text: bytes) -> dict[str, Any] | None:
    """Returns a request's object, in which the data are `Numbers`; None where it isn't so plain.

    Without a backslash each quotation mark begins or ends a string, so `"data":` is a name.
    """
    match = _DATA.search(text)
    if match is None or b"\\" in text or text.count(b'"data"') != 1:
        return None
    start = match.end() - 1
    end = text.find(b"]", start) + 1
    values = text[start + 1 : end - 1]
    if not values or any(mark in values for mark in _NOT_PLAIN):
        return None
    try:
        document = orjson.loads(text[:start] + b"[]" + text[end:])
    except orjson.JSONDecodeError:
        return None
    tensor = _only_input(document)
    if tensor is None or tensor.get("data") != []:
        return None
    found = numbers.read(text[start:end])
    if not isinstance(found, Numbers):
        return None
    tensor["data"] = found
    return document


def _only_input(document: Any) -> dict[str, Any] | None:
    match document:
        case {"inputs": [dict() as tensor]}:
            return tensor
    return None
