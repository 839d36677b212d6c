"""How many frames a peer may send that cost us and bring no request."""

from __future__ import annotations

from server.protocol.http2.frames import ErrorCode, Http2Error
from server.protocol.http2.options import Http2Options

# What a peer may answer to the data that it gets: a WINDOW_UPDATE for the stream and one for the
# connection for each frame, or for every so many bytes. Go's transport widens by 4 KiB.
_UPDATES_PER_FRAME = 2
_BYTES_PER_UPDATE = 1024


class FloodGate:
    """A bucket of control frames, which time and answered requests fill up again.

    WINDOW_UPDATEs have an account of their own, as large as the data that we sent asks for: a long
    download brings thousands of them, long after the data left.
    """

    def __init__(self, options: Http2Options, now: float) -> None:
        self._options = options
        self._left = float(options.control_frames)
        self._at = now
        self._updates = 0

    def spend(self, now: float, cost: int = 1) -> None:
        """Takes frames out.

        Raises:
            Http2Error: there aren't as many left.
        """
        self._add((now - self._at) * self._options.control_frames_per_s)
        self._at = now
        self._left -= cost
        if self._left < 0:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many control frames")

    def spend_update(self, now: float) -> None:
        """Takes a WINDOW_UPDATE out of those that sent data allow, or else of all frames.

        Raises:
            Http2Error: none is left.
        """
        if self._updates:
            self._updates -= 1
        else:
            self.spend(now)

    def answered(self) -> None:
        """Adds what an answered request brings."""
        self._add(self._options.control_frames_per_request)

    def sent(self, size: int) -> None:
        """Adds what a DATA frame that we send brings."""
        self._updates += _UPDATES_PER_FRAME + size // _BYTES_PER_UPDATE * 2

    def _add(self, frames: float) -> None:
        self._left = min(self._left + frames, self._options.control_frames)
