"""The server behind its faces: `infer()`, the one way of a request to its answer."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from server.engines.signatures import DEFAULT
from server.errors import Code, ServingError
from server.inference.admission import Admission
from server.inference.predict import Execute
from server.inference.tasks import Task
from server.inference.timeout import Timeout
from server.models.model_config import Configure
from server.models.repository import Repository
from server.models.servable import Servable
from server.telemetry.observation import Observer
from server.telemetry.report import Gather, Report, Reports
from server.telemetry.request_log import RequestLog

R = TypeVar("R")

_TIMED_OUT = "the answer took longer than --rest_api_timeout_in_ms"


class ModelSpec(NamedTuple):
    """Which servable and signature a request is for; at most one of version and label.

    Attributes:
        signature: Empty for the default.
    """

    name: str
    version: int | None = None
    label: str = ""
    signature: str = ""


class Answer(NamedTuple):
    """What a task came to.

    Attributes:
        servable: The version that answers.
        signature: The signature's name, the default's where none was asked for.
        result: The task's.
    """

    servable: Servable
    signature: str
    result: Any


class Ask(ABC, Generic[R]):
    """A face's request. It is parsed and rendered by the face, and inferred by the core.

    Attributes:
        face: Its name in metrics.
        method: The API's, such as `Predict`.
        model: The name that is asked for.
        deadline: The event loop's time at which the face gives up; None: never.
        timeout: Gives the request a deadline, where the face doesn't.
    """

    __slots__ = ("deadline", "model", "timeout")
    face: ClassVar[str]
    method: ClassVar[str]

    def __init__(
        self, model: str, *, deadline: float | None = None, timeout: Timeout | None = None
    ) -> None:
        self.model, self.deadline, self.timeout = model, deadline, timeout

    @abstractmethod
    async def parse(self) -> ModelSpec:
        """Reads the request as far as that takes no model, and returns what it is for.

        Raises:
            ServingError: it can't be read.
        """

    @abstractmethod
    async def task(self, servable: Servable) -> Task:
        """Reads the rest of it, such as tensors in the dtypes of the signature.

        Raises:
            ServingError: it can't be read.
        """

    @abstractmethod
    async def render(self, answer: Answer) -> R:
        """Returns the response.

        Raises:
            ServingError: the face has no form for such an answer.
        """


@dataclass
class Core:
    """What a face needs: servables, their execution, limits, observation and logs.

    Attributes:
        configure: Replaces the configuration, in all workers where there are several.
        reports: Asks all workers how they are.
        is_draining: The server is about to end; it answers still, but is no longer ready.
    """

    repository: Repository
    execute: Execute
    observer: Observer
    request_log: RequestLog
    admission: Admission = field(default_factory=Admission)
    is_draining: bool = False

    def __post_init__(self) -> None:
        """Lets configurations and reports be of this process alone, unless told otherwise."""
        self.configure: Configure = self.repository.configure
        self.reports: Gather = self._own_report

    async def infer(self, ask: Ask[R]) -> R:
        """Answers a request: each face's, each method's.

        Raises:
            ServingError: why there is no answer.
        """
        with self.observer.watch(ask.face, ask.method, ask.model) as seen:
            spec = await ask.parse()
            seen.signature = spec.signature or DEFAULT
            with self.admission, self.servable(spec) as servable:
                seen.version = servable.version
                task = await ask.task(servable)
                if task.example_count is not None:
                    self.observer.record_examples(servable.name, task.example_count)
                run = functools.partial(task.run, self.execute, servable, seen.signature)
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

    def report(self) -> Report:
        """Returns how this process is."""
        models = self.repository.models
        return Report(
            is_ready=self.repository.is_ready and not self.is_draining,
            is_draining=self.is_draining,
            models={
                name: latest.version if (latest := models[name].latest) else None
                for name in sorted(models)
            },
            recent=list(self.observer.recent),
            metrics=self.observer.lines(),
        )

    async def _own_report(self) -> Reports:
        return [self.report()]
