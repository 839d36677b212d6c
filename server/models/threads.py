"""Work on threads which nobody has to wait for: one that hangs ends with the process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from server.models import priority

logger = logging.getLogger(__name__)

T = TypeVar("T")


def run(function: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Runs a function on a thread of its own and returns its result, to be awaited.

    The interpreter waits for an executor's threads when it ends, for this one it doesn't.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def work() -> None:
        try:
            settle: tuple[Callable[[Any], None], Any] = future.set_result, function()
        except BaseException as error:
            settle = future.set_exception, error
        try:
            loop.call_soon_threadsafe(_settle, future, *settle)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    _Thread(target=work, name=name, daemon=True).start()
    return future


def are_busy() -> bool:
    """Tells whether any such work is under way in this process."""
    return any(isinstance(thread, _Thread) for thread in threading.enumerate())


class _Thread(threading.Thread):
    """A thread of `run`."""


def _settle(future: asyncio.Future[T], settle: Callable[[Any], None], value: Any) -> None:
    if not future.done():
        settle(value)


class Loads:
    """Long work, so much of it at a time; what hangs takes nobody else's turn."""

    def __init__(self, at_a_time: int, patience_s: float) -> None:
        """Takes how much runs at a time, and how long something may take until it hangs."""
        self._slots = asyncio.Semaphore(at_a_time)
        self._patience_s = patience_s

    async def run(self, function: Callable[[], T], what: str, hangs: Callable[[float], None]) -> T:
        """Runs a function when it is its turn and returns its result.

        Args:
            function: Makes way for requests, and so do the threads that it starts.
            what: Is done, for the log.
            hangs: Is called with the seconds so far, if the function hangs. It goes on.
        """
        await self._slots.acquire()
        has_slot = True
        try:

            def work() -> T:
                priority.give_way()
                return function()

            future = run(work, "load")
            done, _ = await asyncio.wait([future], timeout=self._patience_s)
            if not done:
                logger.warning("%s has taken %g s and goes on", what, self._patience_s)
                self._slots.release()
                has_slot = False
                hangs(self._patience_s)
            return await future
        finally:
            if has_slot:
                self._slots.release()
