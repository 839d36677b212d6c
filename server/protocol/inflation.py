"""Compressed bodies, inflated in steps that neither stall the event loop nor exceed the budget."""

from __future__ import annotations

import asyncio
import zlib

from server.errors import Code, ServingError
from server.protocol.limits import Share

# zlib's windowBits: https://zlib.net/manual.html#Advanced
GZIP = zlib.MAX_WBITS | 16
ZLIB = zlib.MAX_WBITS
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32

_QUICK_BYTES = 64 * 1024  # in or out; what is larger goes to a thread
_STEP_BYTES = 2**20
_INPUT_BYTES = 64 * 1024  # at a time: zlib copies what it leaves of its input


class Damaged(ValueError):
    """Compressed data that aren't."""


async def inflate(data: bytes | bytearray, window_bits: int, share: Share, limit: int) -> bytes:
    """Returns inflated data, whose size was taken from the share and is the caller's to give back.

    Args:
        data: The whole body.
        window_bits: What it is compressed with, as zlib has it.
        share: Of the budget; what is inflated is taken from it step by step.
        limit: Largest result in bytes.

    Raises:
        Damaged: the data can't be inflated, are cut off, or something follows them.
        ServingError: RESOURCE_EXHAUSTED, more than the limit or the budget; nothing is taken.
    """
    inflation = _Inflation(data, window_bits)
    result = bytearray()
    try:
        if len(data) <= _QUICK_BYTES:
            _add(result, inflation.step(_QUICK_BYTES), share, limit)
        while not inflation.is_at_end:
            _add(result, await asyncio.to_thread(inflation.step, _STEP_BYTES), share, limit)
        if len(result) > _QUICK_BYTES:
            return await asyncio.to_thread(bytes, result)
        return bytes(result)
    except BaseException:
        share.give(len(result))
        raise


def _add(result: bytearray, piece: bytes, share: Share, limit: int) -> None:
    if len(result) + len(piece) > limit:
        raise ServingError(Code.RESOURCE_EXHAUSTED, f"the body inflates to over {limit} bytes")
    share.take(len(piece))
    result += piece


class _Inflation:
    """zlib's inflater with its input in pieces."""

    def __init__(self, data: bytes | bytearray, window_bits: int) -> None:
        self._inflater = zlib.decompressobj(window_bits)
        self._data = memoryview(data)
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        """Whether all is inflated."""
        return self._inflater.eof

    def step(self, size: int) -> bytes:
        """Returns at most `size` more bytes; fewer only at the end.

        Raises:
            Damaged: see `inflate`.
        """
        inflater, pieces = self._inflater, []
        try:
            while size > 0 and not inflater.eof:
                piece = inflater.decompress(inflater.unconsumed_tail or self._next(), size)
                pieces.append(piece)
                size -= len(piece)
        except zlib.error as error:
            raise Damaged(str(error)) from None
        if inflater.eof and (inflater.unused_data or self._position < len(self._data)):
            raise Damaged("something follows the end of the compressed data")
        return b"".join(pieces)

    def _next(self) -> memoryview:
        if self._position >= len(self._data):
            raise Damaged("the compressed data are cut off")
        start, self._position = self._position, self._position + _INPUT_BYTES
        return self._data[start : self._position]
