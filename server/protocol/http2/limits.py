"""What a peer may ask of a connection."""

from __future__ import annotations

from dataclasses import dataclass

from server.protocol.http2.frames import ErrorCode, Http2Error


@dataclass(frozen=True)
class Limits:
    """Bounds that keep a peer, hostile or broken, from using up the server.

    Attributes:
        streams: Requests under way on a connection; more are refused.
        stream_window: Bytes that a request may be ahead of us.
        connection_window: The same for all requests of a connection.
        frame_bytes: Largest payload of a frame.
        header_bytes: Largest block of headers, packed or unpacked.
        control_frames: Frames other than requests that may come at once (PING, SETTINGS,
            WINDOW_UPDATE, RST_STREAM, empty DATA, …).
        control_frames_per_s: How many more each second brings.
        control_frames_per_request: How many more each answered request brings.
        patience_s: How long a connection may take to begin, and an unfinished request to make
            progress.
        progress_bytes: What counts as progress within that time.
    """

    streams: int = 1000
    stream_window: int = 8 * 2**20
    connection_window: int = 64 * 2**20
    frame_bytes: int = 2**20
    header_bytes: int = 64 * 2**10
    control_frames: int = 2000
    control_frames_per_s: int = 200
    control_frames_per_request: int = 20
    patience_s: float = 60.0
    progress_bytes: int = 16 * 2**10


class Budget:
    """A bucket of control frames, which time and answered requests fill up again."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._left = float(limits.control_frames)
        self._at = now

    def spend(self, now: float) -> None:
        """Takes one frame out.

        Raises:
            Http2Error: none is left.
        """
        limits = self._limits
        self._add((now - self._at) * limits.control_frames_per_s)
        self._at = now
        self._left -= 1
        if self._left < 0:
            raise Http2Error(ErrorCode.ENHANCE_YOUR_CALM, "too many control frames")

    def earn(self) -> None:
        """Adds what an answered request brings."""
        self._add(self._limits.control_frames_per_request)

    def _add(self, frames: float) -> None:
        self._left = min(self._left + frames, self._limits.control_frames)
