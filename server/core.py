"""The server behind its two faces: models, execution and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.inference import Execute
from server.limits import Admission
from server.observation import Observer
from server.repository import Repository
from server.servable import Servable
from server.worker_pipe import Configure


@dataclass(frozen=True)
class ModelSpec:
    """Which servable and signature a request is for; at most one of version and label."""

    name: str
    version: int | None = None
    label: str = ""
    signature: str = ""


@dataclass
class Core:
    """What a face needs: servables, their execution, limits and observation.

    Attributes:
        configure: Replaces the configuration, in all workers where there are several.
        is_draining: The server is about to end; it answers still, but is no longer ready.
    """

    repository: Repository
    execute: Execute
    observer: Observer
    admission: Admission = field(default_factory=Admission)
    is_draining: bool = False

    def __post_init__(self) -> None:
        """Lets a new configuration go to this process alone, unless told otherwise."""
        self.configure: Configure = self.repository.configure

    def servable(self, spec: ModelSpec) -> Servable:
        """Returns the servable of a request; enter it as a context before using it."""
        return self.repository.find(spec.name, spec.version, spec.label)
