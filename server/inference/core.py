"""The server behind its two faces: models, execution and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from server.inference.admission import Admission
from server.inference.predict import Execute
from server.models.model_config import Configure
from server.models.repository import Repository
from server.models.servable import Servable
from server.telemetry.observation import Observer
from server.telemetry.report import Gather, Report, Reports
from server.telemetry.request_log import RequestLog


class ModelSpec(NamedTuple):
    """Which servable and signature a request is for; at most one of version and label."""

    name: str
    version: int | None = None
    label: str = ""
    signature: str = ""


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

    def servable(self, spec: ModelSpec) -> Servable:
        """Returns the servable of a request; enter it as a context before using it."""
        return self.repository.find(spec.name, spec.version, spec.label)
