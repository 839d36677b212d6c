"""How many frames a peer may send that cost us and bring no request."""

from __future__ import annotations

from server.protocol.http2.frames import ErrorCode, Http2Error
from server.protocol.http2.options import Http2Options

# What a peer may answer to the data that it gets: a WINDOW_UPDATE for the stream and one for the
# connection for each frame, or for every 1024 bytes. Go's transport widens by 4 KiB.
UPDATES_PER_FRAME = 2
LOG2_BYTES_PER_UPDATE = 9


class FloodGate:
    """A bucket of control frames, which time and answered requests fill up again.

    WINDOW_UPDATEs have an account of their own, as large as the data that we sent asks for: a long
    download brings thousands of them, long after the data left.

    Attributes:
        updates: WINDOW_UPDATEs that are allowed; who sends DATA adds to it.
    """

    def __init__(self, options: Http2Options, now: float) -> None:
        self._most = float(options.control_frames)
        self._per_s = options.control_frames_per_s
        self._per_request = options.control_frames_per_request
        self._left = self._most
        self._at = now
        self.updates = 0

    def spend(self, now: float, cost: int = 1) -> None:
        """Takes frames out.

        Raises:
            Http2Error: there aren't as many left.
        """
        left = self._left + (now - self._at) * self._per_s
        self._left = min(left, self._most) - cost
        self._at = now
        if self._left < 0:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many control frames")

    def spend_update(self, now: float) -> None:
        """Takes a WINDOW_UPDATE out of those that sent data allow, or else of all frames.

        Raises:
            Http2Error: none is left.
        """
        if self.updates:
            self.updates -= 1
        else:
            self.spend(now)

    def answered(self) -> None:
        """Adds what an answered request brings."""
        left = self._left + self._per_request
        self._left = left if left < self._most else self._most
