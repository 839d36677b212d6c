"""The calls that may be executed together: same signature, outputs and layout."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.engines.sizes import Sizes
from server.inference.batching.tensors import Tensors
from server.telemetry.queues import Kept

if TYPE_CHECKING:
    from server.inference.batching.queue import Queue

Run = Callable[[Tensors], Tensors]
Shapes = Mapping[str, tuple[int, ...]]
IsReady = Callable[[Shapes], bool]


class Watched:
    """A `Run` whose call wants to know when its execution begins."""

    __slots__ = ("run", "started")

    def __init__(self, run: Run, started: Callable[[int, int], None]) -> None:
        """Takes the run and what is told: rows of the execution, and calls in it."""
        self.run, self.started = run, started

    def __call__(self, inputs: Tensors) -> Tensors:
        """Runs it."""
        return self.run(inputs)


_MEMORY = 0.8  # weight of earlier measurements in the mean
# So many executions tell how long the next one takes.
_WELL_KNOWN = 16
# The share of the time that is expected which a call must have left: an estimate may be wrong,
# and who is refused in error loses more than who waits in vain.
_CERTAIN = 0.5


@dataclass(eq=False, slots=True)
class QueuedCall:
    """A call that waits, or a part of one.

    Attributes:
        inputs: Tensors by name.
        rows: Their leading dimension; 1 where they have none.
        nbytes: Their memory.
        run: What executes them, alone or merged with others of the same lane.
        deadline: The loop's time after which nobody waits for it; None: never.
        arrived: The loop's time at which it came.
        result: Gets the outputs or the error.
        kept: The queue's metrics.
        is_part: The rows of the whole call are counted already.
    """

    inputs: Tensors
    rows: int
    nbytes: int
    run: Run
    deadline: float | None
    arrived: float
    result: asyncio.Future[Tensors]
    kept: Kept
    is_part: bool = False

    def is_late(self, now: float) -> bool:
        """Tells whether the deadline has passed."""
        return self.deadline is not None and self.deadline <= now


@dataclass(eq=False, slots=True)
class Batch:
    """Requests taken from a lane, to be executed with `size` rows; 0: each as it is."""

    lane: Lane
    requests: list[QueuedCall]
    size: int

    def shapes(self) -> Shapes:
        """Returns the shapes that will be executed."""
        inputs = self.requests[0].inputs
        if not self.size:
            return {name: array.shape for name, array in inputs.items()}
        return {name: (self.size, *array.shape[1:]) for name, array in inputs.items()}


class Lane:
    """Calls in their order, and what has been learned about how long each batch size takes.

    Attributes:
        queue: All calls of the signature.
        is_mergeable: Calls may be executed together; else each is executed by itself, whatever
            its shapes.
        rows: That wait.
        running: Executions that have begun, or wait to be compiled.
        learned: Executions whose time was taken.
    """

    def __init__(
        self, queue: Queue, sizes: Sizes, *, is_mergeable: bool, is_ready: IsReady | None = None
    ) -> None:
        """Takes the sizes of a batch, and what tells whether shapes run without being compiled.

        Args:
            queue: That the lane belongs to.
            sizes: Rows that an execution may have.
            is_mergeable: Calls may be executed together.
            is_ready: None: all shapes do.
        """
        self.queue = queue
        self.is_mergeable = is_mergeable
        self.rows = 0
        self.running = 0
        self.learned = 0
        self._is_ready = is_ready
        self._seconds: dict[int, float] = {}
        self._longest = 0.0  # seconds of an execution
        self._ready: set[int] = set()  # sizes that run without being compiled
        self._requests: deque[QueuedCall] = deque()
        self.resize(sizes)

    def resize(self, sizes: Sizes) -> None:
        """Takes other sizes; what has been learned of those that there were stays."""
        self.sizes = sizes
        self.enough = sizes.enough()
        self._seconds = {**sizes.seconds, **self._seconds}
        self._ready.update(sizes.seconds)

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def is_idle(self) -> bool:
        """Whether no call waits or is executed."""
        return not self._requests and not self.running

    def add(self, request: QueuedCall) -> None:
        """Lets a request wait."""
        self._requests.append(request)
        self.rows += request.rows
        self.queue.enter([request])

    def leave(self, request: QueuedCall) -> bool:
        """Takes out a request, if it is still here; returns whether it was."""
        if self._requests and self._requests[0] is request:
            self._requests.popleft()
        elif request in self._requests:
            self._requests.remove(request)
        else:
            return False
        self.rows -= request.rows
        self.queue.exit([request])
        return True

    def take_expired(self, now: float) -> list[QueuedCall]:
        """Takes out the requests whose deadline has passed, wherever they stand."""
        late = [request for request in self._requests if request.is_late(now)]
        for request in late:
            self.leave(request)
        return late

    def oldest(self) -> float | None:
        """Returns when the first request came; None where nobody waits."""
        return self._requests[0].arrived if self._requests else None

    def may_run(self, partial: int) -> bool:
        """Tells whether a batch may be taken: one of enough rows, or one of `partial` at a time."""
        return self.running < partial or not self.is_mergeable or self.rows >= self.enough

    def take(self, now: float, late: list[QueuedCall]) -> Batch | None:
        """Takes the requests of the next batch; None where nobody waits.

        Those whose deadline has passed are put with the `late` ones.
        """
        wanted = self.sizes.best(self.rows) if self.is_mergeable else 0
        requests: list[QueuedCall] = []
        rows = 0
        waiting = self._requests
        while waiting:
            request = waiting[0]
            if request.deadline is not None and request.deadline <= now:
                self.leave(request)
                late.append(request)
                continue
            if requests and rows + request.rows > wanted:
                break
            waiting.popleft()
            requests.append(request)
            rows += request.rows
        self.rows -= rows
        self.queue.exit(requests)
        if not requests:
            return None
        return Batch(self, requests, self.sizes.up(rows) if self.is_mergeable else 0)

    def is_ready(self, batch: Batch) -> bool:
        """Tells whether a batch runs at once; else it is compiled before, which takes long."""
        if self._is_ready is None or batch.size in self._ready:
            return True
        if not self._is_ready(batch.shapes()):
            return False
        if batch.size:
            self._ready.add(batch.size)
        return True

    def took(self, size: int, seconds: float) -> None:
        """Learns how long an execution of this size takes under the present load."""
        before = self._seconds.get(size, seconds)
        self._seconds[size] = _MEMORY * before + (1 - _MEMORY) * seconds
        self.learned += 1
        if seconds > self._longest:
            self._longest = seconds

    def expects(self, size: int) -> float | None:
        """Returns the seconds that an execution of this size has taken of late; None: unknown."""
        return self._seconds.get(size)

    def may_be_late(self, seconds: float) -> bool:
        """Tells in no time whether a call may have to wait for so long."""
        return _CERTAIN * (len(self._requests) + 1) * self._longest > seconds

    def least_wait(self, rows: int, threads: int) -> float:
        """Returns the seconds that so many more rows wait and take at least; 0: that isn't known.

        Nothing is known where nobody waits: then a call is let in, and its time is learned.
        """
        if self.learned < _WELL_KNOWN or not self._requests:
            return 0.0
        if self.is_mergeable:
            size = self.sizes.best(self.rows + rows)
            executions = self.rows / size
        else:
            size, executions = 0, len(self._requests)
        return _CERTAIN * (executions / threads + 1) * self._seconds.get(size, 0.0)
