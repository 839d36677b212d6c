"""Messages parsed piece by piece, so that other threads get a turn.

protobuf keeps Python's lock for as long as it parses: 0.3 s for 10 MB of tiny fields, in which the
event loop stands still. Two messages one after the other are one message on the wire, merged; so
one may be cut between any two of its fields, and so may each of the messages in it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from wire import fields

M = TypeVar("M", bound=Message)

_PIECE = 64 * 1024  # bytes that are parsed at a time, of tiny fields in two or three milliseconds
_MAX_GROUPS = 100  # upb's limit for what stands in one another
_VARINTS = {
    FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_ENUM,
    FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SINT64,
}  # fmt: skip
_TEXTS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}


def parse(kind: type[M], data: bytes) -> M:
    """Returns what `kind.FromString(data)` does; to be called on a thread.

    A single value of bytes or text is copied in one go: 100 MB in some 50 ms.

    Raises:
        DecodeError: as protobuf.
    """
    message = kind()
    _merge(message, data, 0, len(data), 0)
    return message


def _merge(message: Any, data: bytes, position: int, end: int, depth: int) -> None:
    """Merges a part of the data, which are whole fields, into a message."""
    by_number = message.DESCRIPTOR.fields_by_number
    start = position  # of what isn't merged yet
    while position < end:
        position = fields.run(data, position, end)
        if position < end:
            begin = position
            number, kind, content, position = fields.field(data, begin, end)
            if kind == fields.END_GROUP:
                raise fields.malformed()
            descriptor = by_number.get(number) if kind == fields.BYTES else None
            if kind == fields.START_GROUP:
                position = _group_end(data, position, end, number, depth)
                if position - begin > _PIECE:
                    _add(message, data, start, begin)  # and the group, which is unknown, nowhere
                    start = position
            elif position - content > _PIECE and descriptor is not None:
                _add(message, data, start, begin)
                _merge_long(message, descriptor, data, begin, content, position, depth)
                start = position
        if position - start > _PIECE:
            _add(message, data, start, position)
            start = position
    _add(message, data, start, end)


def _add(message: Any, data: bytes, start: int, end: int) -> None:
    if start < end:
        message.MergeFromString(data[start:end])


def _merge_long(
    message: Any,
    descriptor: FieldDescriptor,
    data: bytes,
    begin: int,
    content: int,
    end: int,
    depth: int,
) -> None:
    """Merges a field that is longer than a piece."""
    value: Any
    kind = descriptor.message_type
    if kind is None:
        if descriptor.is_repeated and descriptor.type not in _TEXTS:
            _merge_packed(message, descriptor, data, content, end)
        else:
            _add(message, data, begin, end)
    elif kind.GetOptions().map_entry:
        if kind.fields_by_number[2].message_type is None:
            _add(message, data, begin, end)
        else:
            _merge_entry(message, descriptor, data, content, end, depth + 1)
    else:
        value = getattr(message, descriptor.name)
        if descriptor.is_repeated:
            value = value.add()
        else:
            value.SetInParent()
        _merge(value, data, content, end, depth + 1)


def _merge_packed(
    message: Any, descriptor: FieldDescriptor, data: bytes, position: int, end: int
) -> None:
    is_varint = descriptor.type in _VARINTS
    tag = _varint(descriptor.number << 3 | fields.BYTES)
    while position < end:
        stop = min(position + _PIECE, end)  # a multiple of fixed numbers' 4 or 8 bytes
        if is_varint and stop < end and data[stop - 1] >= 0x80:
            stop = fields.varint_end(data, stop, end)
        part = data[position:stop]
        message.MergeFromString(tag + _varint(len(part)) + part)
        position = stop


def _merge_entry(
    message: Any, descriptor: FieldDescriptor, data: bytes, position: int, end: int, depth: int
) -> None:
    """Puts an entry into a map from strings to messages, in place of an earlier one of its key."""
    key = b""
    values: list[tuple[int, int]] = []
    while position < end:
        number, kind, content, position = fields.field(data, position, end)
        if kind == fields.END_GROUP:
            raise fields.malformed()
        if kind == fields.START_GROUP:
            position = _group_end(data, position, end, number, depth)
        elif kind == fields.BYTES and number == 1:
            key = data[content:position]
        elif kind == fields.BYTES and number == 2:
            values.append((content, position))
    try:
        name = key.decode()
    except UnicodeDecodeError:
        raise fields.malformed() from None
    entries = getattr(message, descriptor.name)
    if name in entries:
        del entries[name]
    value = entries[name]
    for start, stop in values:
        _merge(value, data, start, stop, depth + 1)


def _group_end(data: bytes, position: int, end: int, number: int, depth: int) -> int:
    """Returns where a group ends."""
    opened = [number]
    while opened:
        if depth + len(opened) > _MAX_GROUPS:
            raise fields.malformed()
        position = fields.run(data, position, end)
        found, kind, _, position = fields.field(data, position, end, least=0)
        if kind == fields.START_GROUP:
            opened.append(found)
        elif kind == fields.END_GROUP and opened.pop() != found:
            raise fields.malformed()
    return position


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
