"""How calls reach an engine."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Mapping

import numpy as np

from server.engines.signatures import ModelSignature
from server.engines.sizes import only
from server.inference.batching import exact, tensors
from server.inference.batching.lane import Shapes, Watched
from server.inference.batching.parameters import Parameters
from server.inference.batching.scheduler import Scheduler
from server.inference.predict import EngineCall
from server.models.servable import Servable
from server.telemetry.queues import QueueMetrics


class Execution:
    """Runs calls by one scheduler; those that come together as one, where that may be."""

    def __init__(
        self,
        parameters: Parameters,
        metrics: QueueMetrics | None = None,
        *,
        merges_proven: bool = True,
        merges_all: bool = False,
        is_exact: bool = False,
    ) -> None:
        """Takes how calls are executed.

        Args:
            parameters: Sizes, queues and threads.
            metrics: Where the queues are told of.
            merges_proven: Merge calls where their rows are proven to be independent.
            merges_all: Merge calls of signatures whose rows aren't proven to be independent, too.
                TensorFlow Serving's `--enable_batching` does so: the operator vouches for the
                model.
            is_exact: Execute calls in the sizes alone that the servable names: `batching/exact.py`.
        """
        self._scheduler = Scheduler(parameters, metrics)
        self._compiled_sizes = parameters.compiled_sizes
        self._merges_proven = merges_proven
        self._merges_all = merges_all
        self._is_exact = is_exact

    @property
    def is_busy(self) -> bool:
        """Whether an execution is under way, for whomever."""
        return self._scheduler.is_busy

    def __call__(self, servable: Servable, call: EngineCall) -> Awaitable[Mapping[str, np.ndarray]]:
        """Returns the call's outputs by name, to be awaited.

        Raises:
            ServingError: too much waits already, or the deadline has passed, or can't be met.
        """
        engine, name, inputs, outputs = servable.engine, call.signature, call.inputs, call.outputs
        sizes = servable.batches.get(name) if self._merges_proven else None
        is_mergeable = sizes is not None or self._merges_all
        fixed = None
        if is_mergeable:
            fixed = engine.batch_sizes(name)
            if sizes is None and engine.compiles_sizes:
                sizes = only(fixed) if fixed else self._compiled_sizes
            if fixed is not None and tensors.count_rows(inputs) not in fixed:
                is_mergeable = False  # to hear which sizes there are

        exact_sizes = sizes if self._is_exact and is_mergeable else None
        if exact_sizes is not None and exact_sizes.is_single:
            is_mergeable = False

        is_ready = _always if exact_sizes else functools.partial(engine.is_ready, name)

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            if exact_sizes is not None:
                return exact.run(engine, name, inputs, outputs, exact_sizes)
            return engine.run(name, inputs, outputs)

        return self._scheduler.run(
            servable,
            name,
            run if call.started is None else Watched(run, call.started),
            inputs,
            kind=outputs,
            deadline=call.deadline,
            is_mergeable=is_mergeable,
            sizes=sizes if is_mergeable else None,  # the queue takes as many rows as another
            fits=functools.partial(fits, servable.signatures[name], inputs, fixed is not None),
            is_ready=is_ready,
        )

    def close(self) -> None:
        """Ends the threads when their executions are done."""
        self._scheduler.close()


def fits(signature: ModelSignature, inputs: Mapping[str, np.ndarray], is_fixed: bool) -> bool:
    """Tells whether inputs have the signature's ranks and sizes, so that they may be merged.

    Others are the engine's to refuse, or not: TensorFlow Serving checks no shape before the graph
    runs.

    Args:
        signature: Of the inputs.
        inputs: All of them.
        is_fixed: The number of rows was looked at. Else it must be open.
    """
    for name, tensor in signature.inputs.items():
        shape = inputs[name].shape
        if tensor.shape is None:
            continue
        if len(shape) != len(tensor.shape) or not shape:
            return False
        if not is_fixed and tensor.shape[0] != -1:
            return False
        if any(
            size not in (-1, found) for size, found in zip(tensor.shape[1:], shape[1:], strict=True)
        ):
            return False
    return True


def _always(shapes: Shapes) -> bool:
    return True  # the sizes in which the version is executed are compiled when it is loaded


async def inline(servable: Servable, call: EngineCall) -> Mapping[str, np.ndarray]:
    """Runs a call on the calling thread: for warm-up, which has a thread of its own."""
    return servable.engine.run(call.signature, call.inputs, call.outputs)
