"""Which batch is executed next."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

from server.engines.sizes import Sizes
from server.inference.batching import tensors
from server.inference.batching.compiling import Uncompiled
from server.inference.batching.lane import Batch, IsReady, Lane, QueuedCall, Run
from server.inference.batching.outcome import Outcome, deliver, timed
from server.inference.batching.parameters import Parameters
from server.inference.batching.queue import Queue, Share
from server.inference.batching.refusals import expired
from server.inference.batching.room import Room
from server.inference.batching.tensors import Tensors
from server.inference.batching.turns import Turns
from server.models import priority
from server.telemetry.queues import QueueMetrics

# Parts of a cut call that wait at a time, for each thread: enough that none runs out of them.
_PARTS_A_THREAD = 16


class Scheduler:
    """Executes calls, merged where they may be; lives on one event loop.

    A call that finds a thread free and none of its kind under way is executed at once, together
    with those that arrived in the same turn of the loop. All others wait until one is done, or
    until they are enough for a batch beside it, and then go with as many as fit: under load,
    batches grow by themselves. `Turns` says which kind is next.

    A thread that is done takes the next batch itself. The event loop, which may be busy with
    requests and answers for milliseconds, would leave the cores idle until it came to that.

    What must be compiled first is so on a thread of its own, one after the other: it takes a
    thousand times as long as an execution.
    """

    def __init__(self, parameters: Parameters, metrics: QueueMetrics | None = None) -> None:
        self._parameters = parameters
        self._metrics = metrics or QueueMetrics()
        self._pool = ThreadPoolExecutor(parameters.threads, thread_name_prefix="batch")
        self._compiler = ThreadPoolExecutor(
            1, thread_name_prefix="compile", initializer=priority.give_way
        )
        self._running = 0
        self._shares: weakref.WeakKeyDictionary[object, Share] = weakref.WeakKeyDictionary()
        self._room = Room(parameters, self._take_expired)
        self._lock = threading.Lock()  # of what follows, and of the queues
        self._turns = Turns(parameters)
        self._waiting = self._turns.lanes
        self._uncompiled = Uncompiled()
        self._is_compiling = False
        self._late: list[QueuedCall] = []
        self._is_awake = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an execution is under way."""
        return self._running > 0 or self._is_compiling

    async def run(
        self,
        servable: object,
        signature: str,
        run: Run,
        inputs: Tensors,
        *,
        kind: Hashable = None,
        deadline: float | None = None,
        is_mergeable: bool = True,
        sizes: Sizes | None = None,
        fits: Callable[[], bool] = lambda: True,
        is_ready: IsReady = lambda shapes: True,
    ) -> Tensors:
        """Executes a call, alone or with others of its kind, and returns its outputs.

        Args:
            servable: What the call is for; calls on different ones share the time evenly.
            signature: Likewise within a servable.
            run: Executes inputs, on a thread.
            inputs: Tensors by name.
            kind: Calls of one kind and layout differ in their inputs only.
            deadline: The loop's time after which the call leaves the queue; None: never.
            is_mergeable: Whether each row of the inputs gives a row of the outputs by itself.
            sizes: Rows that an execution may have; the scheduler's own where None.
            fits: Tells whether the inputs have the signature's shapes. Others aren't merged.
            is_ready: Tells whether shapes run without being compiled.

        Raises:
            Overloaded: too much waits already.
            ServingError: DEADLINE_EXCEEDED in the queue, or by then; INVALID_ARGUMENT for rows
                without content.
            Exception: what `run` raises for this call.
        """
        rows = tensors.count_rows(inputs)
        sizes = sizes or self._parameters.sizes
        nbytes = [array.nbytes for array in inputs.values()]
        if 0 in nbytes:
            tensors.check_content(inputs, sizes.largest)
        size = sum(nbytes)
        queue = self._queue(servable, signature, sizes, is_ready)
        if is_mergeable and rows is not None:
            lane = self._lane(queue, kind, inputs, sizes, fits, is_ready)
        else:
            lane = queue.alone
        now = asyncio.get_running_loop().time()
        if deadline is not None and deadline <= now:
            queue.kept.expired.add()
            raise expired()
        if rows and rows > lane.sizes.largest and lane.is_mergeable:
            cut = await self._run_parts(lane, inputs, rows, size, run, deadline, now)
            if cut is not None:
                return cut
        if queue.rows or self._room.load.nbytes:
            self._room.admit(lane, rows or 1, size, deadline, now)
        return await self._wait(lane, inputs, rows or 1, size, run, deadline, now)

    def close(self) -> None:
        """Ends the threads when their executions are done."""
        self._pool.shutdown(wait=False)
        self._compiler.shutdown(wait=False)

    async def _run_parts(
        self,
        lane: Lane,
        inputs: Tensors,
        rows: int,
        nbytes: int,
        run: Run,
        deadline: float | None,
        now: float,
    ) -> Tensors | None:
        """Executes a call that is larger than a batch in parts, of which some wait at a time.

        Returns:
            The outputs; None where it turns out that they have no row a row.
        """
        queue = lane.queue
        largest = lane.sizes.largest
        count = _PARTS_A_THREAD * self._parameters.threads
        held = min(rows, count * largest)
        self._room.admit(lane, held, nbytes, deadline, now)
        with self._lock:
            queue.rows += held
        found: list[Tensors] = []
        try:
            parts = tensors.chunks(inputs, largest)
            while lane.is_mergeable and (some := list(itertools.islice(parts, count))):
                waits = [
                    asyncio.ensure_future(
                        self._wait(
                            lane, part, size, nbytes * size // rows, run, deadline, now, True
                        )
                    )
                    for part, size in some
                ]
                try:
                    found += await asyncio.gather(*waits)
                finally:
                    for wait in waits:
                        wait.cancel()
        finally:
            with self._lock:
                queue.rows -= held
        return tensors.join(found) if lane.is_mergeable else None

    async def _wait(
        self,
        lane: Lane,
        inputs: Tensors,
        rows: int,
        nbytes: int,
        run: Run,
        deadline: float | None,
        now: float,
        is_part: bool = False,
    ) -> Tensors:
        self._loop = loop = asyncio.get_running_loop()
        request = QueuedCall(
            inputs, rows, nbytes, run, deadline, now, loop.create_future(), lane.queue.kept, is_part
        )
        with self._lock:
            if not lane.rows:
                self._waiting[lane] = None
            lane.add(request)
            may_run = self._running < self._parameters.threads and self._turns.may_run(lane)
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
        finally:
            del request  # an error's traceback would keep it, and it keeps the error

    def _queue(self, servable: object, signature: str, sizes: Sizes, is_ready: IsReady) -> Queue:
        share = self._shares.get(servable)
        if share is None:
            share = self._shares[servable] = Share()
        queue = share.queues.get(signature)
        if queue is None:
            model = str(getattr(servable, "name", ""))
            kept = self._metrics.keep(model, signature)
            capacity = self._parameters.max_enqueued_batches * self._parameters.sizes.largest
            queue = Queue(share, self._room.load, kept, sizes, capacity, is_ready)
            share.queues[signature] = queue
            self._metrics.watch(queue, model, signature)
        return queue

    def _lane(
        self,
        queue: Queue,
        kind: Hashable,
        inputs: Tensors,
        sizes: Sizes,
        fits: Callable[[], bool],
        is_ready: IsReady,
    ) -> Lane:
        """Returns the lane of a call that may be merged with others."""
        pad = self._parameters.pad_variable_length
        key = (kind, tensors.layout(inputs, ranks_only=pad))
        lane = queue.lane(key)
        if lane is None:
            if not fits():
                return queue.alone
            with self._lock:
                return queue.open(key, sizes, is_ready)
        if pad and not fits():  # others of this rank did
            return queue.alone
        if lane.sizes is not sizes and lane.sizes != sizes:
            with self._lock:
                lane.resize(sizes)
        return lane

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
            expected = batch.lane.expects(batch.size) if batch.size else None
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
        with self._lock:
            start = self._turns.first_start()
        if start is not None:
            self._timer = loop.call_at(start, self._dispatch, loop)

    def _take(self) -> Batch | None:
        """Takes the next batch, if a thread is free and one may begin; needs the lock."""
        now = time.monotonic()  # of which the loop's time is a rounded or earlier reading
        while self._running < self._parameters.threads:
            lane = self._turns.next(now)
            if lane is None:
                return None
            batch = lane.take(now, self._late)
            if not lane.rows:
                del self._waiting[lane]
            if batch is None:
                continue
            lane.running += 1
            if not lane.is_ready(batch):
                self._uncompiled.add(batch)
                if not self._is_compiling:
                    self._is_compiling = True
                    self._compiler.submit(self._compile)
                continue
            self._running += 1
            self._note(batch, now)
            return batch
        return None

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

    def _compile(self) -> None:
        """Compiles what waits for it by running it, on a thread."""
        loop = self._loop
        assert loop is not None
        while True:
            now = time.monotonic()
            with self._lock:
                batch, has_dropped = self._uncompiled.take(now, self._late)
                self._is_compiling = batch is not None
                if batch is not None:
                    self._note(batch, now)
            try:
                if has_dropped:
                    loop.call_soon_threadsafe(self._dispatch, loop)
                if batch is None:
                    return
                outcome, _ = timed(batch)
                with self._lock:
                    batch.lane.running -= 1
                loop.call_soon_threadsafe(self._finish, loop, batch, outcome)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _finish(self, loop: asyncio.AbstractEventLoop, batch: Batch, outcome: Outcome) -> None:
        self._expire()
        if self._waiting:
            self._dispatch(loop)
        deliver(loop, batch, outcome)

    def _take_expired(self, queue: Queue, now: float) -> None:
        with self._lock:
            for lane in queue:
                self._late += lane.take_expired(now)
        self._expire()

    def _expire(self) -> None:
        """Answers the calls that were taken out because their deadline has passed."""
        while self._late:
            request = self._late.pop()
            if not request.result.done():
                request.kept.expired.add()
                request.result.set_exception(expired())

    def _note(self, batch: Batch, now: float) -> None:
        """Counts an execution that begins; needs the lock."""
        kept = batch.lane.queue.kept
        kept.batch.add(sum([request.rows for request in batch.requests]))
        kept.waited.add_all([now - request.arrived for request in batch.requests])

    def _took(self, batch: Batch, outcome: Outcome, seconds: float) -> None:
        """Takes note of an execution that has ended; needs the lock."""
        self._running -= 1
        lane, queue = batch.lane, batch.lane.queue
        lane.running -= 1
        queue.used += seconds
        queue.share.used += seconds
        if not any(isinstance(result, Exception) for result in outcome):
            lane.took(batch.size, seconds)
