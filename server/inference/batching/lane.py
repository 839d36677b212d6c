"""The calls that wait to be executed together: same version, signature, outputs and layout."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from server.engines.sizes import Sizes
from server.errors import Code, ServingError
from server.inference.batching.tensors import Tensors

Run = Callable[[Tensors], Tensors]


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


class Overloaded(ServingError):
    """The queue is full: UNAVAILABLE in gRPC as in TensorFlow Serving, 429 in HTTP."""

    http_status = 429

    def __init__(self, rows: int) -> None:
        super().__init__(
            Code.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full; "
            f"{rows} rows are waiting",
        )


def expired() -> ServingError:
    """Returns the answer to a call whose deadline passed in the queue."""
    return ServingError(
        Code.DEADLINE_EXCEEDED, "Run() timeout exceeded while waiting in batching queue"
    )


@dataclass(eq=False, slots=True)
class Request:
    """A call that waits.

    Attributes:
        inputs: Tensors by name.
        rows: Their leading dimension.
        run: What executes them, alone or merged with others of the same lane.
        deadline: The loop's time after which nobody waits for it; None: never.
        arrived: The loop's time at which it came.
        result: Gets the outputs or the error.
    """

    inputs: Tensors
    rows: int
    run: Run
    deadline: float | None
    arrived: float
    result: asyncio.Future[Tensors]


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests taken from a lane, to be executed with `size` rows; 0: as they are."""

    lane: Lane
    requests: list[Request]
    size: int


class Lane:
    """A queue, and what has been learned about how long each batch size takes."""

    def __init__(self, group: int, sizes: Sizes, *, is_mergeable: bool) -> None:
        """Takes the number of the group whose share of time the lane uses."""
        self.group = group
        self.sizes = sizes
        self.enough = sizes.enough()
        self.is_mergeable = is_mergeable
        self.rows = 0
        self.running = 0  # executions
        self._seconds = dict(sizes.seconds)
        self._queue: deque[Request] = deque()

    def add(self, request: Request) -> None:
        """Lets a request wait."""
        self._queue.append(request)
        self.rows += request.rows

    def leave(self, request: Request) -> None:
        """Takes out a request that nobody waits for any more, if it is still here."""
        if self._queue and self._queue[0] is request:
            self._queue.popleft()
        elif request in self._queue:
            self._queue.remove(request)
        else:
            return
        self.rows -= request.rows

    def take_expired(self, now: float) -> list[Request]:
        """Takes out the requests whose deadline has passed, wherever they stand."""
        late = [r for r in self._queue if r.deadline is not None and r.deadline <= now]
        for request in late:
            self.leave(request)
        return late

    def oldest(self) -> float | None:
        """Returns when the first request came; None where nobody waits."""
        return self._queue[0].arrived if self._queue else None

    def may_run(self, partial: int) -> bool:
        """Tells whether a batch may be taken: one of enough rows, or one of `partial` at a time."""
        return self.running < partial or not self.is_mergeable or self.rows >= self.enough

    def take(self, now: float, late: list[Request]) -> Batch | None:
        """Takes the requests of the next batch; None where nobody waits.

        Those whose deadline has passed are put with the `late` ones.
        """
        wanted = self.sizes.best(self.rows) if self.is_mergeable else 0
        requests: list[Request] = []
        rows = 0
        while self._queue:
            request = self._queue[0]
            is_late = request.deadline is not None and request.deadline <= now
            if requests and not is_late and rows + request.rows > wanted:
                break
            self.leave(request)
            if is_late:
                late.append(request)
            else:
                requests.append(request)
                rows += request.rows
        if not requests:
            return None
        return Batch(self, requests, self.sizes.up(rows) if self.is_mergeable else 0)

    def took(self, size: int, seconds: float) -> None:
        """Learns how long an execution of this size takes under the present load."""
        before = self._seconds.get(size, seconds)
        self._seconds[size] = _MEMORY * before + (1 - _MEMORY) * seconds

    def expects(self, size: int) -> float | None:
        """Returns the seconds that an execution of this size has taken of late; None: unknown."""
        return self._seconds.get(size)
