"""One worker, as its supervisor knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from server.launch.worker_link import WorkerLink


@dataclass(eq=False)
class Worker:
    """A worker's process and the pipe to it; None: not yet again.

    Attributes:
        is_up: It answers what comes by the pipe.
        hangs: It should have answered long ago.
        asked: When it was asked whether it is there; None: it has answered.
        answered: When it was last heard of.
    """

    process: Any = None
    link: WorkerLink | None = None
    is_up: bool = False
    hangs: bool = False
    asked: float | None = None
    answered: float = 0.0
    started: float = 0.0
    delay: float = 0.0
    due: float = 0.0

    @property
    def is_there(self) -> bool:
        """Whether answers may be expected of it."""
        return self.link is not None and self.is_up and not self.hangs
