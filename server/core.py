"""The server behind its two faces: models, execution and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

from server.inference import Execute
from server.repository import Repository
from server.servable import Servable


@dataclass(frozen=True)
class ModelSpec:
    """Which servable and signature a request is for; at most one of version and label."""

    name: str
    version: int | None = None
    label: str = ""
    signature: str = ""


class Core:
    """What a face needs: find a servable, run it, ask for states, change the configuration."""

    def __init__(self, repository: Repository, execute: Execute) -> None:
        self.repository = repository
        self.execute = execute
        self.is_draining = False

    def servable(self, spec: ModelSpec) -> Servable:
        """Returns the servable of a request; enter it as a context before using it."""
        return self.repository.find(spec.name, spec.version, spec.label)
