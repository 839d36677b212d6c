"""Which batch is executed next."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import weakref
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor

from server.engines.sizes import Sizes
from server.inference.batching import tensors
from server.inference.batching.lane import Batch, Lane, Overloaded, Request, Run, expired
from server.inference.batching.outcome import Outcome, deliver, timed
from server.inference.batching.parameters import Parameters
from server.inference.batching.tensors import Tensors


class Scheduler:
    """Merges calls that arrive while others are executed; lives on one event loop.

    A call that finds a thread free and none of its kind under way is executed at once, together
    with those that arrived in the same turn of the loop. All others wait until one is done, or
    until they are enough for a batch beside it, and then go with as many as fit: under load,
    batches grow by themselves. Among models, the one that has used the least time is next.

    A thread that is done takes the next batch itself. The event loop, which may be busy with
    requests and answers for milliseconds, would leave the cores idle until it came to that.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._pool = ThreadPoolExecutor(parameters.threads, thread_name_prefix="batch")
        self._running = 0
        self._lanes: weakref.WeakKeyDictionary[object, dict[Hashable, Lane]]
        self._lanes = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()  # of what follows, and of the lanes' queues
        self._waiting: dict[Lane, None] = {}
        self._late: list[Request] = []
        self._groups = itertools.count()
        self._used: dict[int, float] = {}  # seconds by group
        self._clock = 0.0  # the seconds that the group had used which went last
        self._is_awake = False
        self._timer: asyncio.TimerHandle | None = None

    async def run(
        self,
        servable: object,
        kind: Hashable,
        run: Run,
        inputs: Tensors,
        *,
        deadline: float | None = None,
        is_mergeable: bool = True,
        sizes: Sizes | None = None,
    ) -> Tensors:
        """Executes a call, alone or with others of its kind, and returns its outputs.

        Args:
            servable: What the call is for; calls on different ones share the time evenly.
            kind: Calls of one kind differ in their inputs only.
            run: Executes inputs, on a thread.
            inputs: Tensors by name.
            deadline: The loop's time after which the call leaves the queue; None: never.
            is_mergeable: Whether each row of the inputs gives a row of the outputs by itself.
            sizes: Rows that an execution may have; the scheduler's own where None.

        Raises:
            Overloaded: too much waits already.
            ServingError: DEADLINE_EXCEEDED in the queue.
            Exception: what `run` raises for this call.
        """
        rows = tensors.count_rows(inputs)
        is_mergeable = is_mergeable and rows is not None
        lane = self._lane(servable, kind, inputs, sizes or self._parameters.sizes, is_mergeable)
        now = asyncio.get_running_loop().time()
        if deadline is not None and deadline <= now:
            raise expired()
        self._admit(lane, rows or 1, now)
        if rows and rows > lane.sizes.largest and lane.is_mergeable:
            waits = [
                self._wait(lane, part, len(next(iter(part.values()))), run, deadline, now)
                for part in tensors.chunks(inputs, lane.sizes.largest)
            ]
            parts = await asyncio.gather(*waits)
            if lane.is_mergeable:
                return tensors.join(parts)
        return await self._wait(lane, inputs, rows or 1, run, deadline, now)

    def close(self) -> None:
        """Ends the threads when their executions are done."""
        self._pool.shutdown(wait=False)

    async def _wait(
        self,
        lane: Lane,
        inputs: Tensors,
        rows: int,
        run: Run,
        deadline: float | None,
        now: float,
    ) -> Tensors:
        loop = asyncio.get_running_loop()
        request = Request(inputs, rows, run, deadline, now, loop.create_future())
        with self._lock:
            if not lane.rows:
                self._waiting[lane] = None
            lane.add(request)
            may_run = self._running < self._parameters.threads and self._may_run(lane)
        if may_run and not self._running and lane.rows >= lane.enough:
            self._dispatch(loop, may_run_here=False)  # the loop reads the rest of this turn's calls
        elif may_run:
            self._wake(loop)
        try:
            return await request.result
        except asyncio.CancelledError:
            with self._lock:
                lane.leave(request)
            raise

    def _lane(
        self, servable: object, kind: Hashable, inputs: Tensors, sizes: Sizes, is_mergeable: bool
    ) -> Lane:
        lanes = self._lanes.get(servable)
        if lanes is None:
            lanes = self._lanes[servable] = {}
        pad = self._parameters.pad_variable_length
        key = (kind, is_mergeable, tensors.layout(inputs, ranks_only=pad))
        lane = lanes.get(key)
        if lane is None:
            group = next(iter(lanes.values())).group if lanes else next(self._groups)
            lane = lanes[key] = Lane(group, sizes, is_mergeable=is_mergeable)
        return lane

    def _admit(self, lane: Lane, rows: int, now: float) -> None:
        capacity = self._parameters.max_enqueued_batches * lane.sizes.largest
        if lane.rows and lane.rows + rows > capacity:
            with self._lock:
                self._late += lane.take_expired(now)
            self._expire()
            if lane.rows and lane.rows + rows > capacity:
                raise Overloaded(lane.rows)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        # In the loop's next turn, when all calls that have arrived in this one are here.
        if not self._is_awake:
            self._is_awake = True
            loop.call_soon(self._dispatch, loop)

    def _dispatch(self, loop: asyncio.AbstractEventLoop, *, may_run_here: bool = True) -> None:
        """Lets free threads begin; what is short runs here where it may."""
        self._is_awake = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while True:
            with self._lock:
                batch = self._take()
                is_alone = self._running == 1
            self._expire()
            if batch is None:
                break
            expected = batch.lane.expects(batch.size)
            is_short = expected is not None and expected < self._parameters.inline
            if may_run_here and is_alone and is_short:
                outcome, seconds = timed(batch)
                with self._lock:
                    self._took(batch, outcome, seconds)
                deliver(loop, batch, outcome)
                if self._waiting:
                    self._wake(loop)
                return
            self._pool.submit(self._execute, loop, batch)
        if self._parameters.timeout and self._waiting and self._running < self._parameters.threads:
            self._set_timer(loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wakes up when the first of the lanes that may still fill up has waited enough."""
        with self._lock:
            starts = [self._start(lane) for lane in self._waiting if self._may_run(lane)]
        if starts:
            self._timer = loop.call_at(min(starts), self._dispatch, loop)

    def _take(self) -> Batch | None:
        """Takes the next batch, if a thread is free and one may begin; needs the lock."""
        now = time.monotonic()  # of which the loop's time is a rounded or earlier reading
        while self._running < self._parameters.threads:
            lane = self._next(now)
            if lane is None:
                return None
            batch = lane.take(now, self._late)
            if not lane.rows:
                del self._waiting[lane]
            if batch is not None:
                self._running += 1
                lane.running += 1
                return batch
        return None

    def _next(self, now: float) -> Lane | None:
        """Returns the lane whose turn it is."""
        for lane in [lane for lane in self._waiting if not lane.rows]:
            del self._waiting[lane]  # those who waited have gone
        ready = [lane for lane in self._waiting if self._may_run(lane)]
        if self._parameters.timeout:
            ready = [lane for lane in ready if self._start(lane) <= now]
        if not ready:
            return None
        # A model that comes back doesn't get the time that it didn't ask for.
        for lane in ready:
            self._used[lane.group] = max(self._used.get(lane.group, 0.0), self._clock)
        chosen = min(ready, key=lambda lane: self._used[lane.group])
        self._clock = self._used[chosen.group]
        return chosen

    def _may_run(self, lane: Lane) -> bool:
        return lane.may_run(self._parameters.partial)

    def _start(self, lane: Lane) -> float:
        oldest = lane.oldest()
        if oldest is None or lane.rows >= lane.sizes.largest or not lane.is_mergeable:
            return 0.0
        return oldest + self._parameters.timeout

    def _execute(self, loop: asyncio.AbstractEventLoop, batch: Batch) -> None:
        """Runs a batch and those that wait when it is done, on a thread."""
        following: Batch | None = batch
        while following is not None:
            batch = following
            outcome, seconds = timed(batch)
            with self._lock:
                self._took(batch, outcome, seconds)
                following = self._take()
            try:
                loop.call_soon_threadsafe(self._finish, loop, batch, outcome)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _finish(self, loop: asyncio.AbstractEventLoop, batch: Batch, outcome: Outcome) -> None:
        self._expire()
        if self._waiting:
            self._dispatch(loop)
        deliver(loop, batch, outcome)

    def _expire(self) -> None:
        """Answers the calls that were taken out because their deadline has passed."""
        while self._late:
            request = self._late.pop()
            if not request.result.done():
                request.result.set_exception(expired())

    def _took(self, batch: Batch, outcome: Outcome, seconds: float) -> None:
        """Takes note of an execution that has ended; needs the lock."""
        self._running -= 1
        batch.lane.running -= 1
        group = batch.lane.group
        self._used[group] = self._used.get(group, 0.0) + seconds
        if batch.size and not any(isinstance(result, Exception) for result in outcome):
            batch.lane.took(batch.size, seconds)
