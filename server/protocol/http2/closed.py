"""Streams that are over: what still may come for them (RFC 9113, 5.1)."""

from __future__ import annotations

import enum
from collections import deque

from server.protocol.http2.frames import ErrorCode, Http2Error, StreamError, protocol_error

_REMEMBERED = 4096
_REMEMBERED_GAPS = 64


class _End(enum.Enum):
    OURS = "we ended it while the peer was sending: what is under way is ignored"
    THEIRS = "the peer reset it: nothing may follow"


class ClosedStreams:
    """Remembers how streams ended, as far as that isn't the ordinary way.

    Attributes:
        last: The highest number that the peer has used.
    """

    def __init__(self) -> None:
        self.last = 0
        self._ends: dict[int, _End] = {}
        self._forgotten = 0  # the highest number that was dropped from there
        self._gaps: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED_GAPS)

    def use(self, number: int) -> None:
        """Takes note of a new stream; lower numbers that were never used are over by that."""
        if number > self.last + 2:
            self._gaps.append((self.last + 1, number))
        self.last = number

    def ended_by_us(self, number: int) -> None:
        """Takes note that we ended a stream whose request isn't complete."""
        self._remember(number, _End.OURS)

    def ended_by_peer(self, number: int) -> None:
        """Takes note of a RST_STREAM."""
        self._remember(number, _End.THEIRS)

    def completed(self, number: int) -> None:
        """Takes note that the request of a stream that we ended is complete now."""
        self._ends.pop(number, None)

    def check(self, number: int, *, opens: bool = False) -> None:
        """Lets a HEADERS or DATA frame pass that is to be ignored.

        Args:
            number: Of a stream that isn't open.
            opens: The frame is HEADERS.

        Raises:
            Http2Error: the stream never was open, or the peer itself has ended it before.
            StreamError: the peer has reset it before.
        """
        self.check_used(number)
        end = self._ends.get(number)
        if end is _End.OURS:
            return
        if end is _End.THEIRS or number <= self._forgotten:
            raise StreamError(ErrorCode.STREAM_CLOSED, f"a frame on stream {number} after its end")
        if opens and any(low < number < high for low, high in self._gaps):
            raise protocol_error(f"stream {number} after a higher one")  # 5.1.1
        raise Http2Error(ErrorCode.STREAM_CLOSED, f"a frame on stream {number} after its end")

    def check_used(self, number: int) -> None:
        """Lets a number pass that isn't idle.

        Raises:
            Http2Error: the stream is yet to come, or can't be.
        """
        if not number & 1 or number > self.last:
            raise protocol_error(f"a frame for stream {number}, which isn't open")

    def _remember(self, number: int, end: _End) -> None:
        self._ends[number] = end
        if len(self._ends) > _REMEMBERED:
            oldest = next(iter(self._ends))
            del self._ends[oldest]
            self._forgotten = max(self._forgotten, oldest)
