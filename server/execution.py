"""How calls reach an engine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

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
    """Runs calls that come together as one execution."""

    def __init__(self, parameters: Parameters) -> None:
        self._scheduler = Scheduler(parameters)

    async def __call__(self, servable: Servable, call: Call) -> Mapping[str, np.ndarray]:
        """Returns the call's outputs by name.

        Raises:
            ServingError: too much waits already, or the deadline has passed.
        """
        sizes = servable.engine.batch_sizes(call.signature)

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return servable.engine.run(call.signature, inputs, call.outputs)

        return await self._scheduler.run(
            servable,
            (call.signature, tuple(call.outputs)),
            run,
            dict(call.inputs),
            deadline=call.deadline,
            sizes=only(sizes) if sizes else None,
        )

    def close(self) -> None:
        """Ends the threads when their executions are done."""
        self._scheduler.close()


async def inline(servable: Servable, call: Call) -> Mapping[str, np.ndarray]:
    """Runs a call on the calling thread: for warm-up, which has a thread of its own."""
    return servable.engine.run(call.signature, call.inputs, call.outputs)
