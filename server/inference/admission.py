"""How much the server takes on at a time."""

from __future__ import annotations

import time
from types import TracebackType

from server.errors import Code, ServingError


class Admission:
    """Admits requests up to a number at a time and to a rate.

    Enter it as a context around each request.

    Attributes:
        under_way: Requests that are admitted and not yet answered.
    """

    def __init__(self, max_concurrent: int = 0, max_per_second: float = 0.0) -> None:
        """Takes the limits; 0 for none. A second's worth may come at once."""
        self.under_way = 0
        self._max_concurrent = max_concurrent
        self._rate = max_per_second
        self._tokens = max(max_per_second, 1.0)
        self._filled = time.monotonic()

    def __enter__(self) -> None:
        """Admits a request.

        Raises:
            ServingError: RESOURCE_EXHAUSTED, which clients may try again later.
        """
        if self._max_concurrent and self.under_way >= self._max_concurrent:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"{self.under_way} requests are under way, the most this server takes on",
            )
        if self._rate and not self._take_token():
            raise ServingError(
                Code.RESOURCE_EXHAUSTED, f"more than {self._rate:g} requests per second"
            )
        self.under_way += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.under_way -= 1

    def _take_token(self) -> bool:
        now = time.monotonic()
        self._tokens += (now - self._filled) * self._rate
        self._tokens = min(self._tokens, max(self._rate, 1.0))
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
