"""How calls reach an engine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from server.engines.sizes import only
from server.inference.batching import exact, tensors
from server.inference.batching.lane import Watched
from server.inference.batching.parameters import Parameters
from server.inference.batching.scheduler import Scheduler
from server.inference.predict import Call
from server.models.servable import Servable


class Threads:
    """Runs each call by itself on a thread, so that the event loop stays free."""

    def __init__(self, size: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(size or os.cpu_count(), thread_name_prefix="execute")

    async def __call__(self, servable: Servable, call: Call) -> Mapping[str, np.ndarray]:
        """Returns the call's outputs by name."""
        loop = asyncio.get_running_loop()
        engine, started = servable.engine, call.started

        def run() -> Mapping[str, np.ndarray]:
            if started is not None:
                started(tensors.count_rows(call.inputs) or 1, 1)
            return engine.run(call.signature, call.inputs, call.outputs)

        return await loop.run_in_executor(self._pool, run)

    def close(self) -> None:
        """Ends the threads when their calls are done."""
        self._pool.shutdown(wait=False)


class Batches:
    """Runs calls that come together as one execution, where a call is a number of rows."""

    def __init__(self, parameters: Parameters, *, merges_all: bool, is_exact: bool = False) -> None:
        """Takes how calls are batched.

        Args:
            parameters: Sizes, queues and threads.
            merges_all: Merge calls of signatures whose rows aren't proven to be independent, too.
                TensorFlow Serving's `--enable_batching` does so: the operator vouches for the
                model.
            is_exact: Execute calls in the sizes alone that the servable names: `batching/exact.py`.
        """
        self._scheduler = Scheduler(parameters)
        self._compiled_sizes = parameters.compiled_sizes
        self._merges_all = merges_all
        self._is_exact = is_exact
        self._threads = Threads()

    def __call__(self, servable: Servable, call: Call) -> Awaitable[Mapping[str, np.ndarray]]:
        """Returns the call's outputs by name, to be awaited.

        Raises:
            ServingError: too much waits already, or the deadline has passed.
        """
        engine, signature, outputs = servable.engine, call.signature, call.outputs
        sizes = servable.batches.get(signature)
        if sizes is None and not self._merges_all:
            return self._threads(servable, call)
        fixed = engine.batch_sizes(signature)
        if sizes is None and engine.compiles_sizes:
            sizes = only(fixed) if fixed else self._compiled_sizes
        if fixed is not None and tensors.count_rows(call.inputs) not in fixed:
            return self._threads(servable, call)  # to hear which sizes there are

        exact_sizes = sizes if self._is_exact else None
        is_single = exact_sizes is not None and exact_sizes.is_single

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            if exact_sizes is not None:
                return exact.run(engine, signature, inputs, outputs, exact_sizes)
            return engine.run(signature, inputs, outputs)

        return self._scheduler.run(
            servable,
            (signature, outputs),
            run if call.started is None else Watched(run, call.started),
            call.inputs,
            deadline=call.deadline,
            is_mergeable=not is_single,
            sizes=None if is_single else sizes,  # the queue takes as many rows as another
        )

    def close(self) -> None:
        """Ends the threads when their executions are done."""
        self._scheduler.close()
        self._threads.close()


async def inline(servable: Servable, call: Call) -> Mapping[str, np.ndarray]:
    """Runs a call on the calling thread: for warm-up, which has a thread of its own."""
    return servable.engine.run(call.signature, call.inputs, call.outputs)
