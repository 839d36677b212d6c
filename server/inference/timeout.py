"""One timeout for any number of tasks.

`asyncio.timeout` sets a timer for each, which costs a short request a twentieth of its time. Where
all wait equally long, one timer for the oldest does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Timeout:
    """Cancels tasks that take too long; lives on one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadlines: dict[asyncio.Task[Any], float] = {}  # of those in time, the oldest first
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, work: Callable[[float], Awaitable[T]]) -> T:
        """Awaits `work(deadline)`, with the loop's time at which it is cancelled.

        Raises:
            TimeoutError: it took too long.
        """
        task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        deadline = self._deadlines[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._cancel_late, loop)
        try:
            return await work(deadline)
        except asyncio.CancelledError:
            if task in self._deadlines:  # somebody else did
                raise
            raise TimeoutError from None
        finally:
            if self._deadlines.pop(task, None) is None:
                task.uncancel()

    def _cancel_late(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._deadlines:
            task, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                self._timer = loop.call_at(deadline, self._cancel_late, loop)
                return
            del self._deadlines[task]
            task.cancel()
