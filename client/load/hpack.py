"""As much of HPACK (RFC 7541) as a unary gRPC call needs, without a dynamic table.

The client announces a table of no entries, so that every header block stands for itself.
"""

from __future__ import annotations

import functools

# Huffman codes (RFC 7541, appendix B) of the characters in `grpc-status` and its values.
_CODES = {
    "g": "100110",
    "r": "101100",
    "p": "101011",
    "c": "00100",
    "-": "010110",
    "s": "01000",
    "t": "01001",
    "a": "00011",
    "u": "101101",
    "0": "00000",
    "1": "00001",
    "2": "00010",
    "3": "011001",
    "4": "011010",
    "5": "011011",
    "6": "011100",
    "7": "011101",
    "8": "011110",
    "9": "011111",
}
_STATUSES = 17  # gRPC's codes, 0 to 16


def encode(headers: list[tuple[str, str]]) -> bytes:
    """Encodes headers as literals that enter no table."""
    block = bytearray()
    for name, value in headers:
        block.append(0)
        for text in (name, value):
            block += _integer(len(text), 7) + text.encode()
    return bytes(block)


def grpc_status(block: bytes) -> int | None:
    """Returns the `grpc-status` in a header block, None where there is none.

    Raises:
        ValueError: the block refers to a dynamic table, or is damaged.
    """
    found = None
    at = 0
    try:
        while at < len(block):
            first = block[at]
            if first & 0x80:  # a field of the static table: none is grpc-status
                index, at = _read_integer(block, at, 7)
                if index > 61:
                    raise ValueError("the server uses a header table that was declined")
                continue
            if first & 0xE0 == 0x20:  # a new size for the table
                _, at = _read_integer(block, at, 5)
                continue
            name_index, at = _read_integer(block, at, 6 if first & 0x40 else 4)
            name = b""
            if not name_index:
                name, at = _read_string(block, at)
            value, at = _read_string(block, at)
            if name in _names():
                found = _values().get(value)
    except IndexError:
        raise ValueError("the header block ends too early") from None
    return found


@functools.cache
def _names() -> frozenset[bytes]:
    return frozenset([b"grpc-status", _huffman("grpc-status")])


@functools.cache
def _values() -> dict[bytes, int]:
    plain = {str(code).encode(): code for code in range(_STATUSES)}
    return plain | {_huffman(str(code)): code for code in range(_STATUSES)}


def _huffman(text: str) -> bytes:
    bits = "".join(_CODES[character] for character in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _integer(value: int, prefix: int) -> bytes:
    limit = (1 << prefix) - 1
    if value < limit:
        return bytes([value])
    encoded = bytearray([limit])
    value -= limit
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_integer(block: bytes, at: int, prefix: int) -> tuple[int, int]:
    limit = (1 << prefix) - 1
    value = block[at] & limit
    at += 1
    if value < limit:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        value += (byte & 0x7F) << shift
        shift += 7
        at += 1
        if not byte & 0x80:
            return value, at


def _read_string(block: bytes, at: int) -> tuple[bytes, int]:
    """Returns the bytes as they are, Huffman-coded or not."""
    length, at = _read_integer(block, at, 7)
    if at + length > len(block):
        raise IndexError
    return block[at : at + length], at + length
