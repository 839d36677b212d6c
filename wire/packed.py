"""Numbers of packed fields that are declared as bytes: their payload as it is."""

from __future__ import annotations

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

_WIDTHS = {1: 8, 5: 4}  # bytes of protobuf's wire types fixed64 and fixed32


def read(message: Message, field: str) -> bytes:
    """Returns the little-endian numbers of a field, packed or sent one by one."""
    chunks = getattr(message, field)
    if len(chunks) == 1:
        payload: bytes = chunks[0]
        return payload
    return b"".join(chunks) + _unpacked(message, field)


def _unpacked(message: Message, field: str) -> bytes:
    """Returns numbers sent one by one, which a field declared as bytes leaves unknown."""
    number = message.DESCRIPTOR.fields_by_name[field].number
    return b"".join(
        unknown.data.to_bytes(_WIDTHS[unknown.wire_type], "little")
        for unknown in UnknownFieldSet(message)  # type: ignore[attr-defined]
        if unknown.field_number == number and unknown.wire_type in _WIDTHS
    )
