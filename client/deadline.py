"""The time that a whole call has: the one place where it is reckoned."""

from __future__ import annotations

import math
import time

from client.errors import ServingError


class Deadline:
    """A moment by which a call is over: its tries, pauses, look-ups and connections included.

    Attributes:
        timeout: The seconds that there were at the start.

    Raises:
        ValueError: `timeout` is no number above 0.
    """

    def __init__(self, timeout: float):
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout is {timeout}; it is a number of seconds above 0")
        self.timeout = timeout
        self._end = time.monotonic() + timeout

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return time.monotonic() >= self._end

    def left(self, what: str = "the server") -> float:
        """Returns the seconds left, above 0.

        Raises:
            ServingError: there are none; DEADLINE_EXCEEDED, and says that `what` didn't answer.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.exceeded(what)
        return left

    def allows(self, pause: float) -> bool:
        """Whether there is time left after a pause of so many seconds."""
        return time.monotonic() + pause < self._end

    def within(self, timeout: float) -> Deadline:
        """Returns a deadline so many seconds from now, or this one where it comes first.

        Raises:
            ServingError: as `left`.
        """
        return Deadline(min(timeout, self.left()))

    def exceeded(self, what: str, details: str = "") -> ServingError:
        """Returns the error of a call that ran out of time."""
        more = f" ({details})" if details else ""
        message = f"no answer from {what} within {self.timeout:.3g} s{more}"
        return ServingError("DEADLINE_EXCEEDED", message)
