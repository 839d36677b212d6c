"""Puts a plan's load on a server and measures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from time import perf_counter

import numpy as np

from client.load import descriptors, precise_loop
from client.load.caller import Caller
from client.load.plan import LoadPlan
from client.load.recorder import Recorder
from client.load.result import Result
from client.load.schedule import Schedule
from client.load.workload import Workload

# Seconds since the start, answers so far.
Watcher = Callable[[float, int], None]
_LOOK = 0.2  # seconds between looks at the progress and at calls that are overdue, at most


def generate(plan: LoadPlan, workload: Workload, watch: Watcher | None = None) -> Result:
    """Runs a plan to its end.

    Args:
        plan: The load.
        workload: From `workload.prepare` for the same plan.
        watch: Called a few times a second while it runs.

    Raises:
        OSError: a certificate file can't be read.
        ValueError: the system doesn't allow so many connections.
    """
    descriptors.allow(_connections(plan))
    with asyncio.Runner(loop_factory=precise_loop.make if plan.rate else _closed_loop) as runner:
        return runner.run(_generate(plan, workload, watch or (lambda seconds, answered: None)))


def _closed_loop() -> asyncio.AbstractEventLoop:
    """Returns the loop that takes the least CPU time."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _generate(plan: LoadPlan, workload: Workload, watch: Watcher) -> Result:
    callers = [_caller(plan, workload) for _ in range(_connections(plan))]
    recorder = Recorder(plan.timeout)
    start = perf_counter()
    schedule = Schedule(plan, start)
    watching = asyncio.create_task(_watch(plan, start, callers, recorder, watch))
    warm = asyncio.create_task(_clocks_after(plan.warmup))
    try:
        await asyncio.gather(
            *(
                _work(number, callers[number % len(callers)], workload, schedule, recorder)
                for number in range(plan.concurrency)
            )
        )
        if plan.answers is None:  # the whole of the time, also where nothing was left to send
            await asyncio.sleep(schedule.end - perf_counter())
        cpu = _share_of_core(await warm)
    finally:
        watching.cancel()
        warm.cancel()
        for caller in callers:
            caller.close()
    return _result(plan, workload, schedule, recorder, cpu, callers)


async def _work(
    number: int, caller: Caller, workload: Workload, schedule: Schedule, recorder: Recorder
) -> None:
    requests, agrees = workload.requests, workload.agrees
    while (start := schedule.take()) is not None:
        wait = start - perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        index = number % len(requests)
        number += 1
        answer = await caller.call(requests[index])
        end = perf_counter()
        code = answer.code
        if agrees is not None and code == "OK" and not agrees(index, answer.body):
            code = "MISMATCH"
        recorder.add(start, end, code)
        schedule.answered(end)


async def _watch(
    plan: LoadPlan, start: float, callers: list[Caller], recorder: Recorder, watch: Watcher
) -> None:
    while True:
        await asyncio.sleep(min(_LOOK, plan.timeout / 10))
        now = perf_counter()
        for caller in callers:
            caller.expire(now - plan.timeout)
        watch(now - start, recorder.answered)


async def _clocks_after(seconds: float) -> tuple[float, float]:
    await asyncio.sleep(seconds)
    return time.process_time(), perf_counter()


def _share_of_core(before: tuple[float, float]) -> float:
    cpu, wall = before
    return (time.process_time() - cpu) / max(perf_counter() - wall, 1e-9)


def _connections(plan: LoadPlan) -> int:
    return plan.connections or plan.concurrency


def _caller(plan: LoadPlan, workload: Workload) -> Caller:
    if plan.endpoint.kind.carrier == "grpc":
        from client.load.http2 import Http2

        return Http2(plan.endpoint, workload.path, keep_bodies=plan.verify, timeout=plan.timeout)
    from client.load.http1 import Http1

    return Http1(plan.endpoint, keep_bodies=plan.verify, timeout=plan.timeout)


def _result(
    plan: LoadPlan,
    workload: Workload,
    schedule: Schedule,
    recorder: Recorder,
    cpu: float,
    callers: list[Caller],
) -> Result:
    left = schedule.left()
    left = left[left >= schedule.measured_from]
    waited = schedule.end - left
    end = max(schedule.end, recorder.last_answer) if schedule.is_short else schedule.end
    return Result(
        plan,
        workload.version,
        np.concatenate([recorder.latencies(schedule.measured_from), waited]),
        recorder.completed(schedule.measured_from, end),
        recorder.errors(schedule.measured_from),
        len(left),
        cpu,
        sum(caller.sent_away for caller in callers),
        sum(caller.queued for caller in callers),
        end - schedule.measured_from,
        recorder.answered,
    )
