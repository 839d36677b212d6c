"""protobuf's wire format, field by field.

Source: https://protobuf.dev/programming-guides/encoding/, and for the limits the reader that the
protobuf package itself uses (upb/wire/decode.c).
"""

from __future__ import annotations

import re

from google.protobuf.message import DecodeError

VARINT, FIXED64, BYTES, START_GROUP, END_GROUP, FIXED32 = range(6)

_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_VARINT_BYTES = 10
_SHORT_VARINT_BYTES = 5  # of a tag or a length
_MAX_LENGTH = 2**31 - 1
_SHORT = 32  # bytes of what `run` takes along


def field(data: bytes, position: int, end: int, *, least: int = 1) -> tuple[int, int, int, int]:
    """Returns the number and the wire type of a field, and where its content begins and ends.

    The content of a group isn't looked at: it ends where it begins.

    Args:
        data: The message.
        position: Where the field begins.
        end: Where the message ends.
        least: The lowest number; upb lets 0 pass in a group, and nowhere else.

    Raises:
        DecodeError: there is none that is whole.
    """
    tag, position = _short_varint(data, position, end)
    number, kind = tag >> 3, tag & 7
    if number < least or tag >> 32:
        raise malformed()
    if kind == BYTES:
        size, start = _short_varint(data, position, end)
        if size > _MAX_LENGTH:
            raise malformed()
        stop = start + size
    elif kind == VARINT:
        start, stop = position, varint_end(data, position, end)
    elif kind in _FIXED_BYTES:
        start, stop = position, position + _FIXED_BYTES[kind]
    elif kind in (START_GROUP, END_GROUP):
        start = stop = position
    else:
        raise malformed()
    if stop > end:
        raise malformed()
    return number, kind, start, stop


def run(data: bytes, position: int, end: int) -> int:
    """Returns where a run of short fields ends, at most some thousands; `position`: there is none.

    It saves a look at each of them, as hundreds of thousands may come in one message.
    """
    found = _RUN.match(data, position, end)
    return found.end() if found is not None else position


def varint_end(data: bytes, position: int, end: int) -> int:
    """Returns where an integer ends.

    Raises:
        DecodeError: it is cut off, or too long.
    """
    for at in range(position, min(position + _VARINT_BYTES, end)):
        if data[at] < 0x80:
            return at + 1
    raise malformed()


def malformed() -> DecodeError:
    """Returns the error for what isn't a message."""
    return DecodeError("Error parsing message")


def _short_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 7 * _SHORT_VARINT_BYTES, 7):
        if position >= end:
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise malformed()


def _tags(kind: int) -> bytes:
    """Returns an expression for the tags of fields 1 to 2047 of a wire type."""
    one = b"".join(b"\\x%02x" % (number << 3 | kind) for number in range(1, 16))
    two = b"".join(b"\\x%02x" % (low << 3 | kind | 0x80) for low in range(16))
    return b"(?:[%s]|[%s][\\x01-\\x7f])" % (one, two)


_RUN = re.compile(
    b"(?:%s[\\x80-\\xff]{0,9}[\\x00-\\x7f]|%s[\\s\\S]{8}|%s[\\s\\S]{4}|%s(?:%s)){1,8192}+"
    % (
        _tags(VARINT),
        _tags(FIXED64),
        _tags(FIXED32),
        _tags(BYTES),
        b"|".join(b"\\x%02x[\\s\\S]{%d}" % (size, size) for size in range(_SHORT)),
    )
)
