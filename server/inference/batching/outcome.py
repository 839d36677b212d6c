"""A batch is run, and its calls get their outputs or errors."""

from __future__ import annotations

import asyncio
import time

from server.errors import ServingError
from server.inference.batching import tensors
from server.inference.batching.lane import Batch, QueuedCall, Watched
from server.inference.batching.tensors import Tensors

# So few that the first clients read theirs and ask again while the others' are written.
_ANSWERS_A_TURN = 8

Outcome = list["Tensors | Exception"]


def deliver(
    loop: asyncio.AbstractEventLoop, batch: Batch, outcome: Outcome, start: int = 0
) -> None:
    """Answers some calls in this turn of the loop, whose end sends them off; the rest later."""
    end = start + _ANSWERS_A_TURN
    for request, result in zip(batch.requests[start:end], outcome[start:end], strict=True):
        if request.result.done():
            continue
        if isinstance(result, Exception):
            request.result.set_exception(result)
        else:
            request.result.set_result(result)
    if end < len(outcome):
        loop.call_soon(deliver, loop, batch, outcome, end)


def timed(batch: Batch) -> tuple[Outcome, float]:
    """Runs a batch and returns each call's outputs or error, and the seconds that it took."""
    for request in batch.requests:
        if type(request.run) is Watched:
            request.run.started(batch.size or request.rows, len(batch.requests))
    start = time.perf_counter()
    outcome = _run(batch)
    return outcome, time.perf_counter() - start


def _run(batch: Batch) -> Outcome:
    requests = batch.requests
    if not batch.size:
        return [_run_alone(request) for request in requests]
    rows = [request.rows for request in requests]
    try:
        outputs = requests[0].run(tensors.merge([r.inputs for r in requests], batch.size))
        parts = tensors.split(outputs, rows, batch.size)
    except Exception as error:
        if rows == [batch.size]:
            return [_without_frames(error)]
        # Which request was wrong, and in which words, shows when each is alone.
        return [_run_alone(request) for request in requests]
    if parts is None:
        batch.lane.is_mergeable = False
        return [outputs] if rows == [batch.size] else [_run_alone(request) for request in requests]
    return list(parts)


def _run_alone(request: QueuedCall) -> Tensors | Exception:
    try:
        return request.run(request.inputs)
    except Exception as error:
        return _without_frames(error)


def _without_frames(error: Exception) -> Exception:
    """Lets go of the frames that an error came through, which keep the request that keeps it.

    Its inputs would stay until Python next looks for cycles. What nobody expected is logged.
    """
    return error.with_traceback(None) if isinstance(error, ServingError) else error
