"""Repeated tries."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Retry:
    """How often a call that found the server unavailable is repeated.

    Every call of a model server's API that is sent here only reads, so repeating it is safe. No
    try starts behind the call's timeout.

    Example:
        Client("localhost", 8501, retry=Retry(tries=1))  # doesn't try again

    Attributes:
        tries: Calls in all, at least 1.
        first_wait: Seconds before the second try; doubled each time, with up to 50 % of jitter.
        longest_wait: Seconds that no wait exceeds, but for its jitter.

    Raises:
        ValueError: fewer than 1 try, or a wait below 0.
    """

    tries: int = 5
    first_wait: float = 0.1
    longest_wait: float = 2.0

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ValueError(f"tries is {self.tries}; it is at least 1")
        if min(self.first_wait, self.longest_wait) < 0:
            raise ValueError("first_wait and longest_wait are seconds, at least 0")

    def pauses(self) -> Iterator[float | None]:
        """Yields, for each try, the seconds to wait after it; None for the last one."""
        wait = self.first_wait
        for _ in range(self.tries - 1):
            yield wait * random.uniform(1.0, 1.5)
            wait = min(2 * wait, self.longest_wait)
        yield None
