"""Batches whose shapes must be compiled first, on a thread of their own."""

from __future__ import annotations

from collections import deque

from server.inference.batching.lane import Batch, QueuedCall
from server.inference.batching.queue import Queue


class Uncompiled:
    """Batches that wait to be compiled, one after the other, each signature's in turn.

    They count against their queue's capacity as if they still waited in their lanes. All methods
    need the scheduler's lock.
    """

    def __init__(self) -> None:
        self._batches: dict[Queue, deque[Batch]] = {}

    def add(self, batch: Batch) -> None:
        """Lets a batch wait."""
        queue = batch.lane.queue
        self._batches.setdefault(queue, deque()).append(batch)
        queue.enter(batch.requests)

    def take(self, now: float, late: list[QueuedCall]) -> tuple[Batch | None, bool]:
        """Returns the next batch without the requests that nobody waits for any more.

        Args:
            now: The loop's time.
            late: Gets those whose deadline has passed.

        Returns:
            The batch, None where none waits; and whether others were dropped on the way.
        """
        has_dropped = False
        while self._batches:
            queue, batches = next(iter(self._batches.items()))
            del self._batches[queue]
            batch = batches.popleft()
            if batches:
                self._batches[queue] = batches  # after those of the others
            queue.exit(batch.requests)
            late += [request for request in batch.requests if request.is_late(now)]
            wanted = [r for r in batch.requests if not r.is_late(now) and not r.result.done()]
            if wanted:
                return Batch(batch.lane, wanted, batch.size), has_dropped
            batch.lane.running -= 1
            has_dropped = True
        return None, has_dropped
