"""Whether there is room and time for a call among those that wait."""

from __future__ import annotations

from collections.abc import Callable

from server.inference.batching.lane import Lane
from server.inference.batching.parameters import Parameters
from server.inference.batching.queue import Load, Queue
from server.inference.batching.refusals import Overloaded, hopeless


class Room:
    """What may wait: rows of a signature, bytes of all.

    Attributes:
        load: The bytes that wait.
    """

    def __init__(self, parameters: Parameters, expire: Callable[[Queue, float], None]) -> None:
        """Takes the bounds, and what takes calls out of a queue whose deadline has passed."""
        self._waiting_bytes = parameters.waiting_bytes
        self._threads = parameters.threads
        self._expire = expire
        self.load = Load()

    def admit(self, lane: Lane, rows: int, nbytes: int, deadline: float | None, now: float) -> None:
        """Lets a call wait.

        Raises:
            Overloaded: too much waits already.
            ServingError: DEADLINE_EXCEEDED: it can't be executed by its deadline.
        """
        if self._is_full(lane.queue, rows, nbytes):
            self._expire(lane.queue, now)
            if self._is_full(lane.queue, rows, nbytes):
                lane.queue.kept.full.add()
                raise Overloaded(
                    f"{lane.queue.rows} rows"
                    if self._has_no_rows_left(lane.queue, rows)
                    else f"{self.load.nbytes} bytes"
                )
        if deadline is not None and lane.may_be_late(deadline - now):
            needed = lane.least_wait(rows, self._threads)
            if needed > deadline - now:
                lane.queue.kept.hopeless.add()
                raise hopeless(needed, deadline - now)

    def _is_full(self, queue: Queue, rows: int, nbytes: int) -> bool:
        waiting = self.load.nbytes
        return self._has_no_rows_left(queue, rows) or (
            waiting > 0 and waiting + nbytes > self._waiting_bytes
        )

    def _has_no_rows_left(self, queue: Queue, rows: int) -> bool:
        return queue.rows > 0 and queue.rows + rows > queue.capacity
