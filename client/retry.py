"""Deadlines and repeated tries."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from client.errors import Unavailable

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Retry:
    """How often a call that found the server unavailable is repeated.

    Attributes:
        tries: Calls in all, at least 1.
        first_wait: Seconds before the second try; doubled each time, with up to 50 % of jitter.
        longest_wait: Seconds that no wait exceeds.
    """

    tries: int = 5
    first_wait: float = 0.1
    longest_wait: float = 2.0

    def call(self, attempt: Callable[[float], Answer], timeout: float) -> Answer:
        """Calls `attempt(seconds left)` until it answers; only `Unavailable` is tried again.

        Every call of TensorFlow Serving's API that is sent here only reads, so repeating it is
        safe.

        Args:
            attempt: Gets the seconds left for this try.
            timeout: Seconds for all tries together.

        Raises:
            ServingError: the last try's error.
        """
        end = time.monotonic() + timeout
        wait = self.first_wait
        for tried in range(1, self.tries + 1):
            try:
                return attempt(max(end - time.monotonic(), 0.001))
            except Unavailable:
                pause = wait * random.uniform(1.0, 1.5)
                if tried == self.tries or time.monotonic() + pause >= end:
                    raise
                time.sleep(pause)
                wait = min(2 * wait, self.longest_wait)
        raise ValueError(f"tries is {self.tries}; it is at least 1")
