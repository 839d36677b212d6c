"""The life of one version: one state machine, driven from the event loop's thread."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from server.errors import Code, ServingError, internal
from server.models import discovery
from server.models.servable import Servable
from server.models.threads import Loads

logger = logging.getLogger(__name__)

Load = Callable[[str, int, Path], Servable]


class VersionState(enum.IntEnum):
    """Numbers of ModelVersionStatus.State (tensorflow_serving/apis/get_model_status.proto)."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


_NEXT = {
    VersionState.START: {VersionState.LOADING, VersionState.END},
    VersionState.LOADING: {VersionState.AVAILABLE, VersionState.END},
    VersionState.AVAILABLE: {VersionState.UNLOADING},
    VersionState.UNLOADING: {VersionState.END},
    VersionState.END: set(),
}


@dataclass(frozen=True)
class Retries:
    """How often and when a failed load is tried again."""

    count: int = 5
    interval_s: float = 60.0


class Version:
    """One version of a model, from its discovery to its end.

    Its state only goes forward; a version that comes back later is a new object.
    """

    def __init__(self, name: str, number: int, path: Path) -> None:
        self.name = name
        self.number = number
        self.path = path
        self.state = VersionState.START
        self.error: ServingError | None = None
        self.servable: Servable | None = None
        self.tried = asyncio.Event()  # set when the first attempt to load it has ended
        self.ended = asyncio.Event()
        self._wanted = True
        self._is_hanging = False
        self._changed = asyncio.Event()
        self._fingerprint: object = None

    @property
    def is_pending(self) -> bool:
        """Whether it is on its way to being available, its first attempt not yet failed."""
        return self.state in (VersionState.START, VersionState.LOADING) and not self.tried.is_set()

    @property
    def has_failed(self) -> bool:
        """Whether it ended because it couldn't be loaded."""
        return self.state is VersionState.END and self.error is not None

    async def load(self, load: Load, loads: Loads, retries: Retries) -> None:
        """Loads the version when it is its turn, with retries, until it is available or ends."""

        def read() -> Servable:
            self._fingerprint = discovery.fingerprint(self.path)
            return load(self.name, self.number, self.path)

        self._enter(VersionState.LOADING)
        what = f"loading {self.name} version {self.number}"
        attempt = 0
        while self._wanted:
            self._changed.clear()
            self._is_hanging = False
            try:
                self.servable = await loads.run(read, what, self._hangs)
            except Exception as error:
                self._is_hanging = False
                self.error = error if isinstance(error, ServingError) else internal(error)
                logger.error("%s failed: %s", what, self.error.message)
                self.tried.set()
                if attempt == retries.count:
                    break
                attempt += 1
                await self._wait(retries.interval_s)
            else:
                self.error = None
                self._enter(VersionState.AVAILABLE)
                self.tried.set()
                return
        self.tried.set()
        self._enter(VersionState.END)

    def retire(self) -> None:
        """Takes the version out of service: no new request reaches it; `unload` is next."""
        self._enter(VersionState.UNLOADING)

    async def unload(self) -> None:
        """Waits for the last request and lets go of the model."""
        servable, self.servable = self.servable, None
        if servable is not None:
            servable.is_retired = True
            await servable.drained()
            servable.engine.close()
        self._enter(VersionState.END)

    def abandon(self) -> None:
        """Gives up on loading it: no further attempt is made."""
        self._wanted = False
        self._changed.set()

    def try_again(self) -> None:
        """Ends the wait between two attempts to load it; it is pending until the next one ends.

        An attempt that hangs goes on, and is waited for no more than before.
        """
        if not self._is_hanging:
            self.tried.clear()
            self._changed.set()

    def notice(self, fingerprint: object) -> bool:
        """Takes note of the directory's state; True where it changed since the failed load."""
        changed = self.error is not None and fingerprint != self._fingerprint
        if changed:
            self._changed.set()
        return changed

    def _hangs(self, seconds: float) -> None:
        """Lets nobody wait for it any more; it is available still when the load ends."""
        self._is_hanging = True
        self.error = ServingError(
            Code.DEADLINE_EXCEEDED, f"loading has taken {seconds:g} s and goes on"
        )
        self.tried.set()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), max(seconds, 0))

    def _enter(self, state: VersionState) -> None:
        assert state in _NEXT[self.state], f"{self.name}/{self.number}: {self.state} -> {state}"
        logger.info("%s version %d: %s", self.name, self.number, state.name)
        self.state = state
        if state is VersionState.END:
            self.ended.set()
