"""What HTTP/2 asks to be set, beside the limits that all protocols share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Http2Options:
    """Settings of RFC 9113 (6.5.2), and bounds on what a peer may make us do between requests.

    Attributes:
        streams: Requests under way on a connection; more are refused.
        stream_window: Bytes that a request may be ahead of us.
        connection_window: The same for all requests of a connection.
        frame_bytes: Largest payload of a frame.
        control_frames: Frames that cost us and bring no request (PING, SETTINGS, RST_STREAM,
            empty DATA, …) that may come at once.
        control_frames_per_s: How many more each second brings.
        control_frames_per_request: How many more each answered request brings.
        keepalive_s: A peer with requests under way that was silent for so long is pinged.
        keepalive_timeout_s: Within which it must say something then.
    """

    streams: int = 1000
    stream_window: int = 8 * 2**20
    connection_window: int = 64 * 2**20
    frame_bytes: int = 2**20
    control_frames: int = 2000
    control_frames_per_s: int = 200
    control_frames_per_request: int = 20
    keepalive_s: float = 60.0
    keepalive_timeout_s: float = 20.0
