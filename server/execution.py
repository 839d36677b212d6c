"""How calls reach an engine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from server.batching import tensors
from server.batching.parameters import Parameters, only
from server.batching.scheduler import Scheduler
from server.inference import Call
from server.servable import Servable


class Threads:
    """Runs each call by itself on a thread, so that the event loop stays free."""

    def __init__(self, size: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(size or os.cpu_count(), thread_name_prefix="execute")

    async def __call__(self, servable: Servable, call: Call) -> Mapping[str, np.ndarray]:
        """Returns the call's outputs by name."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, servable.engine.run, call.signature, call.inputs, call.outputs
        )

    def close(self) -> None:
        """Ends the threads when their calls are done."""
        self._pool.shutdown(wait=False)


class Batches:
    """Runs calls that come together as one execution, where a call is a number of rows."""

    def __init__(self, parameters: Parameters, *, merges_all: bool) -> None:
        """Takes whether signatures are merged that weren't found to allow it when loaded.

        TensorFlow Serving's `--enable_batching` does so: the operator vouches for the model.
        """
        self._scheduler = Scheduler(parameters)
        self._compiled_sizes = parameters.compiled_sizes
        self._merges_all = merges_all
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

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return engine.run(signature, inputs, outputs)

        return self._scheduler.run(
            servable,
            (signature, outputs),
            run,
            call.inputs,
            deadline=call.deadline,
            sizes=sizes,
        )

    def close(self) -> None:
        """Ends the threads when their executions are done."""
        self._scheduler.close()
        self._threads.close()


async def inline(servable: Servable, call: Call) -> Mapping[str, np.ndarray]:
    """Runs a call on the calling thread: for warm-up, which has a thread of its own."""
    return servable.engine.run(call.signature, call.inputs, call.outputs)
