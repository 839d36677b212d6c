"""All calls of one signature that wait: their lanes, their number, their share of time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from server.engines.sizes import Sizes
from server.inference.batching.lane import IsReady, Lane, QueuedCall
from server.telemetry.queues import Kept

# Of one signature: whoever sends ever new shapes gets no more of them.
_MAX_LANES = 64


@dataclass(eq=False, slots=True)
class Load:
    """What waits in all queues together: bytes of tensors."""

    nbytes: int = 0


@dataclass(eq=False)
class Share:
    """A servable's share of the executions' time.

    Attributes:
        used: Seconds of execution.
        clock: The seconds that the queue had used which went last.
        queues: By signature.
    """

    used: float = 0.0
    clock: float = 0.0
    queues: dict[str, Queue] = field(default_factory=dict)


class Queue:
    """The calls of one signature of a servable.

    Attributes:
        share: The servable's.
        used: Seconds of execution that the signature has had.
        capacity: Rows that may wait; a call with more is let in where nobody waits.
        rows: That wait, those of cut calls as far as they are under way.
        calls: That wait.
        alone: The lane of calls that can't be merged, whatever their shapes.
        kept: The queue's metrics.
    """

    def __init__(
        self, share: Share, load: Load, kept: Kept, sizes: Sizes, capacity: int, is_ready: IsReady
    ) -> None:
        self.share = share
        self.used = 0.0
        self.capacity = capacity
        self.rows = 0
        self.calls = 0
        self.kept = kept
        self.alone = Lane(self, sizes, is_mergeable=False, is_ready=is_ready)
        self._load = load
        self._lanes: dict[Hashable, Lane] = {}

    def __iter__(self) -> Iterator[Lane]:
        yield self.alone
        yield from self._lanes.values()

    def lane(self, key: Hashable) -> Lane | None:
        """Returns the lane of mergeable calls of a layout; None where there is none yet."""
        return self._lanes.get(key)

    def open(self, key: Hashable, sizes: Sizes, is_ready: IsReady) -> Lane:
        """Makes a lane, in place of one that is idle where there are many.

        Where all of them are in use, it returns the one in which calls aren't merged.
        """
        if len(self._lanes) >= _MAX_LANES:
            idle = [key for key, lane in self._lanes.items() if lane.is_idle]
            if not idle:
                return self.alone
            del self._lanes[min(idle, key=lambda key: self._lanes[key].learned)]
        lane = self._lanes[key] = Lane(self, sizes, is_mergeable=True, is_ready=is_ready)
        return lane

    def enter(self, requests: Sequence[QueuedCall]) -> None:
        """Counts requests that wait."""
        for request in requests:
            self.calls += 1
            self._load.nbytes += request.nbytes
            if not request.is_part:
                self.rows += request.rows

    def exit(self, requests: Sequence[QueuedCall]) -> None:
        """Counts requests no longer."""
        for request in requests:
            self.calls -= 1
            self._load.nbytes -= request.nbytes
            if not request.is_part:
                self.rows -= request.rows
