"""Whose turn it is: of all lanes that have calls, the one that is executed next."""

from __future__ import annotations

from server.inference.batching.lane import Lane
from server.inference.batching.parameters import Parameters


class Turns:
    """The lanes that have calls, in a fair order. All of it needs the scheduler's lock.

    Among models, the one that has used the least time is next; among its signatures likewise;
    within a signature, the lane whose call came first.

    Attributes:
        lanes: That have calls, or had some until their callers went away.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._partial = parameters.partial
        self._timeout = parameters.timeout
        self._clock = 0.0  # the seconds that the share had used which went last
        self.lanes: dict[Lane, None] = {}

    def may_run(self, lane: Lane) -> bool:
        """Tells whether a lane may be executed beside what is under way of it."""
        return lane.may_run(self._partial)

    def next(self, now: float) -> Lane | None:
        """Returns the lane whose turn it is; None where none may begin.

        Args:
            now: The loop's time, in seconds.
        """
        for lane in [lane for lane in self.lanes if not lane.rows]:
            del self.lanes[lane]  # those who waited have gone
        ready = [lane for lane in self.lanes if self.may_run(lane)]
        if self._timeout:
            ready = [lane for lane in ready if self._start(lane) <= now]
        if not ready:
            return None
        # Who comes back doesn't get the time that it didn't ask for.
        for lane in ready:
            queue, share = lane.queue, lane.queue.share
            share.used = max(share.used, self._clock)
            queue.used = max(queue.used, share.clock)
        if len(ready) == 1:
            chosen = ready[0]
        else:
            chosen = min(
                ready,
                key=lambda lane: (lane.queue.share.used, lane.queue.used, lane.oldest() or 0.0),
            )
        self._clock = chosen.queue.share.used
        chosen.queue.share.clock = chosen.queue.used
        return chosen

    def first_start(self) -> float | None:
        """Returns when the first of the lanes that may still fill up has waited enough."""
        return min((self._start(lane) for lane in self.lanes if self.may_run(lane)), default=None)

    def _start(self, lane: Lane) -> float:
        oldest = lane.oldest()
        if oldest is None or lane.rows >= lane.sizes.largest or not lane.is_mergeable:
            return 0.0
        return oldest + self._timeout
