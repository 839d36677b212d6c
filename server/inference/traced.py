"""A request whose trace is sampled: the way of any other, with a span for each phase."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from server.inference.ask import Answer, Ask, ModelSpec
from server.inference.predict import EngineCall, Execute
from server.inference.tasks import Task
from server.models.servable import Servable
from server.telemetry.tracing import Trace

R = TypeVar("R")


class TracedAsk(Ask[R]):
    """An ask with spans for its phases: `parse` and `render`."""

    __slots__ = ("_ask", "_start", "_trace", "face", "method")

    def __init__(self, ask: Ask[R], trace: Trace) -> None:
        super().__init__(ask.model, deadline=ask.deadline, timeout=ask.timeout)
        self.face, self.method = ask.face, ask.method  # type: ignore[misc]
        self._ask, self._trace = ask, trace
        self._start = time.time_ns()

    async def parse(self) -> ModelSpec:
        """As the ask's."""
        try:
            return await self._ask.parse()
        except BaseException as error:
            self._trace.phase("parse", self._start, error=error)
            raise

    async def task(self, servable: Servable) -> Task:
        """As the ask's; ends the phase that `parse` begins."""
        self._trace.describe({"model.name": servable.name, "model.version": servable.version})
        failure: BaseException | None = None
        try:
            return await self._ask.task(servable)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._trace.phase("parse", self._start, error=failure)

    async def render(self, answer: Answer) -> R:
        """As the ask's."""
        self._trace.describe({"model.signature": answer.signature})
        start = time.time_ns()
        failure: BaseException | None = None
        try:
            return await self._ask.render(answer)
        except BaseException as error:
            failure = error
            raise
        finally:
            self._trace.phase("render", start, error=failure)


def executing(execute: Execute, trace: Trace) -> Execute:
    """Returns an `Execute` with spans: `queue` until a call's execution begins, then `execute`."""

    async def run(servable: Servable, call: EngineCall) -> Mapping[str, np.ndarray]:
        arrived = time.time_ns()
        began: int | None = None
        sizes: list[int] = []
        requests = 0

        def started(size: int, count: int) -> None:
            nonlocal began, requests
            began = began or time.time_ns()
            sizes.append(size)
            requests = max(requests, count)

        failure: BaseException | None = None
        try:
            return await execute(servable, call._replace(started=started))
        except BaseException as error:
            failure = error
            raise
        finally:
            ended = time.time_ns()
            if began is None:
                trace.phase("queue", arrived, ended, error=failure)
            else:
                trace.phase("queue", arrived, began)
                about = {
                    "model.signature": call.signature,
                    "model.batch.size": sum(sizes),
                    "model.batch.requests": requests,
                }
                trace.phase("execute", began, ended, error=failure, **about)

    return run
