"""Looks at the disk, of which one that hangs holds up no other."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from artifact.buckets.address import Address
from server.models import threads
from server.models.discovery import Seen

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """What is looked at.

    Attributes:
        path: A model's base path.
        failed: Directories of versions that couldn't be loaded: have their files changed?
    """

    path: Path | Address
    failed: tuple[Path, ...] = ()


Look = Callable[[Place], Seen]


class _Turn:
    """Places that one thread looks at."""

    def __init__(self, todo: deque[Place]) -> None:
        self.todo = todo
        self.current: Place | None = None
        self.is_over = False
        self.results: asyncio.Queue[tuple[Place | None, Seen | None]] = asyncio.Queue()


class Scan:
    """Looks at places in turn, on a thread; lives on one event loop.

    A network drive may hang for good, and with it each thread that looks at it. So a place that
    isn't seen in time is left to its thread, another one goes on, and until the first comes back
    nobody looks there again.
    """

    def __init__(self, look: Look, patience_s: float = 5.0) -> None:
        """Takes what looks at one place, and the seconds that it may take."""
        self._look = look
        self._patience_s = patience_s
        self._hanging: set[Path | Address] = set()

    async def __call__(self, places: Iterable[Place]) -> dict[Place, Seen]:
        """Returns what was seen; places that couldn't be seen in time are left out."""
        found: dict[Place, Seen] = {}
        todo = deque(place for place in places if place.path not in self._hanging)
        while todo:
            turn = _Turn(todo)
            try:
                await self._take(turn, found)
            finally:
                turn.is_over = True
        return found

    async def _take(self, turn: _Turn, found: dict[Place, Seen]) -> None:
        """Has a thread look, until it has seen all, or hangs."""
        loop = asyncio.get_running_loop()

        def work() -> None:
            while turn.todo and not turn.is_over:
                turn.current = place = turn.todo.popleft()
                seen = self._look(place)
                loop.call_soon_threadsafe(self._tell, turn, place, seen)

        threads.run(work, "scan").add_done_callback(lambda done: self._end(turn, done))
        while True:
            try:
                place, seen = await asyncio.wait_for(turn.results.get(), self._patience_s)
            except TimeoutError:
                if turn.current is not None:
                    logger.warning(
                        "%s: looking at it has taken %g s; what is loaded from there stays, "
                        "nothing new is seen until it answers",
                        turn.current.path, self._patience_s,
                    )  # fmt: skip
                    self._hanging.add(turn.current.path)
                return
            if place is None:
                return
            if seen is not None:
                found[place] = seen

    def _tell(self, turn: _Turn, place: Place, seen: Seen) -> None:
        if turn.is_over and place.path in self._hanging:
            self._hanging.discard(place.path)
            logger.warning("%s: it answers again", place.path)
        turn.results.put_nowait((place, seen))

    def _end(self, turn: _Turn, done: asyncio.Future[None]) -> None:
        if (error := done.exception()) is not None:
            logger.error("%s: %s", turn.current and turn.current.path, error)
            if turn.current is not None:
                self._hanging.discard(turn.current.path)
        turn.results.put_nowait((None, None))
