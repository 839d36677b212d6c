"""How long a connection waits for its peer, and for what.

Nothing here is done for each request: the server looks at each connection about once a second,
and what hasn't moved since an earlier look is counted as standing still from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.protocol.http2.frames import ErrorCode
from server.protocol.http2.stream import Stream
from server.protocol.limits import LINGER_S

if TYPE_CHECKING:
    from server.protocol.http2.connection import Http2Connection

# A peer that doesn't answer when it is told that the connection drains isn't waited for longer.
_DRAIN_S = 5.0


class _Still:
    """Tells for how long a value has been the same."""

    __slots__ = ("_since", "_value")

    def __init__(self, value: Any, now: float) -> None:
        self._value = value
        self._since = now

    def for_s(self, value: Any, now: float) -> float:
        if value != self._value:
            self._value, self._since = value, now
        return now - self._since


class Patience:
    """Ends what a peer doesn't get on with: a call, where it is one call's matter."""

    def __init__(self, connection: Http2Connection, now: float) -> None:
        self._connection = connection
        self._begun = now
        self._received = _Still(0, now)
        self._position = _Still(-1, now)
        self._flushed = _Still(0, now)
        self._bodies: dict[Stream, tuple[int, float]] = {}
        self._answers: dict[Stream, _Still] = {}
        self._pinged: float | None = None
        self._ending: float | None = None
        self._draining: float | None = None

    def look(self, now: float) -> None:
        """Looks at everything that may take only so long."""
        connection, limits = self._connection, self._connection.limits
        if connection.is_ending:
            self._ending = self._ending or now
            if now - self._ending > LINGER_S:
                connection.abort("what was left isn't read")
            return
        silent_s = self._received.for_s(connection.received, now)
        unread = connection.unread
        still_s = self._flushed.for_s(connection.sender.flushed - unread, now)
        if unread and still_s > limits.write_s:
            connection.abort("answers aren't read")
            return
        if not connection.is_paused and self._is_over(now, silent_s):
            return
        if connection.sender.blocked or self._answers:
            self._look_at_answers(now, limits.write_s)
        if connection.streams or self._bodies:
            self._look_at_bodies(now)

    def _is_over(self, now: float, silent_s: float) -> bool:
        """Looks at the connection as a whole; tells whether that ends it."""
        connection, limits = self._connection, self._connection.limits
        begun_s = now - self._begun
        if begun_s > limits.headers_s and not connection.has_settings:
            connection.fail(ErrorCode.ENHANCE_YOUR_CALM, "too slow: no SETTINGS")
            return True
        if begun_s > limits.headers_s and not connection.has_acknowledged:
            connection.fail(ErrorCode.SETTINGS_TIMEOUT, "SETTINGS aren't acknowledged")
            return True
        position = connection.midway_position
        if self._position.for_s(position, now) > limits.headers_s and position >= 0:
            connection.fail(ErrorCode.ENHANCE_YOUR_CALM, "too slow: a frame isn't complete")
            return True
        if connection.is_draining:
            self._draining = self._draining or now
            if now - self._draining > _DRAIN_S:
                connection.stop_requests()
        elif not connection.streams:
            if silent_s > limits.idle_s:
                connection.drain()
            elif silent_s > limits.headers_s:
                connection.forget_heads()
        return self._is_dead(now, silent_s)

    def _is_dead(self, now: float, silent_s: float) -> bool:
        """Pings a peer that has said nothing for long while we had something to say to it."""
        connection, options = self._connection, self._connection.options
        if silent_s < options.keepalive_s or not connection.streams:
            self._pinged = None
        elif self._pinged is None:
            self._pinged = now
            connection.ping()
        elif now - self._pinged > options.keepalive_timeout_s:
            connection.abort("no answer to a keepalive PING")
            return True
        return False

    def _look_at_bodies(self, now: float) -> None:
        """Ends requests whose body doesn't get on."""
        connection, limits = self._connection, self._connection.limits
        before, self._bodies = self._bodies, {}
        if connection.is_paused:
            return
        for stream in list(connection.streams):
            if stream.is_complete or stream.may_idle:
                continue
            received, since = before.get(stream, (stream.received, now))
            if stream.received - received >= limits.progress_bytes:
                received, since = stream.received, now
            if now - since > limits.body_s:
                connection.cancel(stream, ErrorCode.CANCEL)
            else:
                self._bodies[stream] = received, since

    def _look_at_answers(self, now: float, write_s: float) -> None:
        """Ends calls whose answers wait for a window that the peer doesn't open."""
        before, self._answers = self._answers, {}
        for stream in list(self._connection.sender.blocked):
            still = before.get(stream) or _Still(stream.sent, now)
            if still.for_s(stream.sent, now) > write_s:
                self._connection.cancel(stream, ErrorCode.CANCEL)
            else:
                self._answers[stream] = still
