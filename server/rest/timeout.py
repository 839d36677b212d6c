"""One timeout for any number of tasks.

`asyncio.timeout` sets a timer for each, which costs a short request a twentieth of its time. Where
all wait equally long, one timer for the oldest does.
"""

from __future__ import annotations

import asyncio


class Timeout:
    """Cancels tasks that take too long; lives on one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadlines: dict[asyncio.Task[object], float] = {}  # the oldest first
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[object]) -> float:
        """Starts a task's time and returns the loop's time at which it ends."""
        loop = task.get_loop()
        deadline = loop.time() + self._seconds
        self._deadlines[task] = deadline
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._cancel_late, loop)
        return deadline

    def end(self, task: asyncio.Task[object]) -> bool:
        """Ends a task's time; True where it was cancelled because that had run out."""
        self._deadlines.pop(task, None)
        if task in self._late:
            self._late.remove(task)
            task.uncancel()
            return True
        return False

    def _cancel_late(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._deadlines:
            task, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                self._timer = loop.call_at(deadline, self._cancel_late, loop)
                return
            del self._deadlines[task]
            self._late.add(task)
            task.cancel()
