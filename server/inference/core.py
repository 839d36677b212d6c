"""The server behind its faces: `infer()`, the one way of a request to its answer."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TypeVar

from server.engines.signatures import DEFAULT
from server.errors import Code, ServingError
from server.inference import traced
from server.inference.admission import Admission
from server.inference.ask import Answer, Ask, ModelSpec
from server.inference.offload import Offload
from server.inference.predict import Execute
from server.models.model_config import Configure
from server.models.repository import Repository
from server.models.servable import Servable
from server.models.status import statuses
from server.telemetry import tracing
from server.telemetry.observation import Observer
from server.telemetry.report import Gather, ProcessReport, Reports
from server.telemetry.request_log import RequestLog

R = TypeVar("R")

_TIMED_OUT = "the answer took longer than --rest_api_timeout_in_ms"


@dataclass
class Core:
    """What a face needs: servables, their execution, limits, observation and logs.

    Attributes:
        configure: Replaces the configuration, in all workers where there are several.
        reports: Asks all workers how they are.
        is_draining: The server is about to end; it answers still, but is no longer ready.
        offload: Where faces read and render what is long.
        tracer: None without tracing.
    """

    repository: Repository
    execute: Execute
    observer: Observer
    request_log: RequestLog
    admission: Admission = field(default_factory=Admission)
    is_draining: bool = False
    offload: Offload = field(default_factory=Offload)
    tracer: tracing.Tracer | None = None

    def __post_init__(self) -> None:
        """Lets configurations and reports be of this process alone, unless told otherwise."""
        self.configure: Configure = self.repository.configure
        self.reports: Gather = self._own_report

    async def infer(self, ask: Ask[R]) -> R:
        """Answers a request: each face's, each method's.

        Raises:
            ServingError: why there is no answer.
        """
        execute = self.execute
        if self.tracer is not None and (trace := tracing.current()) is not None:
            ask, execute = traced.TracedAsk(ask, trace), traced.executing(execute, trace)
        with self.observer.watch(ask.face, ask.method, ask.model) as seen:
            spec = await ask.parse()
            seen.signature = spec.signature or DEFAULT
            with self.admission, self.servable(spec) as servable:
                seen.version = servable.version
                task = await ask.task(servable)
                if task.example_count is not None:
                    self.observer.record_examples(servable.name, task.example_count)
                run = functools.partial(task.run, execute, servable, seen.signature)
                if ask.timeout is None:
                    result = await run(ask.deadline)
                else:
                    try:
                        result = await ask.timeout.run(run)
                    except TimeoutError:
                        raise ServingError(Code.DEADLINE_EXCEEDED, _TIMED_OUT) from None
                if self.request_log.wants(servable.name):
                    exchange = functools.partial(task.exchange, result)
                    self.request_log.add(servable, seen.signature, exchange)
                return await ask.render(Answer(servable, seen.signature, result))

    def servable(self, spec: ModelSpec) -> Servable:
        """Returns the servable of a request; enter it as a context before using it.

        Raises:
            ServingError: there is none.
        """
        return self.repository.find(spec.name, spec.version, spec.label)

    def report(self) -> ProcessReport:
        """Returns how this process is."""
        models = self.repository.models
        return ProcessReport(
            is_ready=self.repository.is_ready and not self.is_draining,
            is_draining=self.is_draining,
            models={
                name: latest.version if (latest := models[name].latest) else None
                for name in sorted(models)
            },
            versions=list(statuses(models[name] for name in sorted(models))),
            recent=list(self.observer.recent),
            metrics=self.observer.lines(),
        )

    async def _own_report(self) -> Reports:
        return [self.report()]
