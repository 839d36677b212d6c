"""One model: its configuration, what was found on disk, and its versions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from artifact.buckets.address import Address
from server.models.model_config import ModelConfig
from server.models.servable import Servable
from server.models.version import Version, VersionState

_MAX_ENDED = 20  # ended versions that a model's status still lists


class ServedModel:
    """One model and its versions.

    Attributes:
        versions: By number.
        moved: Versions whose number another directory has now; they serve until that one does.
        found: Directories of the versions on disk.
        unreadable: The base path that can't be read, which was told once.
        available: What requests look up.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.versions: dict[int, Version] = {}
        self.moved: list[Version] = []
        self.found: Mapping[int, Path] = {}
        self.unreadable: Path | Address | None = None
        self.available: dict[int, Servable] = {}
        self.latest: Servable | None = None

    @property
    def aspired(self) -> set[int]:
        """The versions that are wanted and on disk."""
        return self.config.policy.aspired(self.found) if self.config.switch.is_on else set()

    @property
    def returning(self) -> list[Version]:
        """The versions that are wanted again, but are still being unloaded."""
        return [
            version
            for number, version in self.versions.items()
            if version.state is VersionState.UNLOADING and number in self.aspired
        ]

    def refresh(self) -> None:
        """Makes what requests look up follow the states of the versions."""
        self.available = {
            version.number: version.servable
            for version in sorted([*self.moved, *self.versions.values()], key=lambda v: v.number)
            if version.state is VersionState.AVAILABLE and version.servable is not None
        }
        self.latest = self.available[max(self.available)] if self.available else None

    def replace_moved(self) -> None:
        """Sets versions apart whose number another directory has now."""
        for number in self.aspired & self.versions.keys():
            version = self.versions[number]
            if version.path != self.found[number]:
                del self.versions[number]
                version.abandon()
                self.moved.append(version)

    def superseded(self) -> list[Version]:
        """Returns available versions that may go: none but when their successors are ready.

        Availability comes first: an old version stays while a new one is being loaded, and for
        as long as no wanted version is available.
        """
        aspired = self.aspired
        wanted = {n: self.versions[n] for n in aspired if n in self.versions}
        ready = {n for n, version in wanted.items() if version.state is VersionState.AVAILABLE}
        if aspired and (not ready or any(version.is_pending for version in wanted.values())):
            return []
        old = [version for number, version in self.versions.items() if number not in aspired]
        old += [v for v in self.moved if v.number not in aspired or v.number in ready]
        return [version for version in old if version.state is VersionState.AVAILABLE]

    def try_again(self) -> None:
        """Lets versions that couldn't be loaded be tried once more, at once."""
        for number, version in list(self.versions.items()):
            if version.has_failed:
                del self.versions[number]
            elif version.error is not None:
                version.try_again()

    def forget(self) -> None:
        """Drops the oldest of the versions that have ended."""
        self.moved = [version for version in self.moved if version.state is not VersionState.END]
        ended = [n for n, version in self.versions.items() if version.state is VersionState.END]
        for number in sorted(set(ended) - set(self.found))[:-_MAX_ENDED]:
            del self.versions[number]
