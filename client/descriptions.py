"""The versions' signatures that have been read, and how long they may be relied on."""

from __future__ import annotations

import time

from client.codec import Description
from client.model_spec import ModelSpec

# Of a name by which a model is asked for; old versions come and go, so that there is an end to it.
_MOST = 256


class Descriptions:
    """Descriptions by the spec that they were asked for with; None where a server has none.

    A description of more than `fresh` seconds is read again by the first call that finds it so;
    the others go on with it meanwhile.
    """

    def __init__(self, fresh: float):
        self._fresh = fresh
        self._found: dict[ModelSpec, tuple[Description | None, float]] = {}

    def find(self, spec: ModelSpec) -> tuple[Description | None] | None:
        """Returns the description in a tuple, or None where it is to be read (again)."""
        entry = self._found.get(spec)
        if entry is None:
            return None
        description, read_at = entry
        now = time.monotonic()
        if now - read_at > self._fresh:
            self._found[spec] = (description, now)
            return None
        return (description,)

    def keep(self, spec: ModelSpec, description: Description | None) -> None:
        """Keeps what was read just now."""
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[spec] = (description, time.monotonic())
        if description is not None and description.version is not None:
            self._found[ModelSpec(spec.model, description.version)] = self._found[spec]

    def drop(self, spec: ModelSpec) -> None:
        """Has it read again at the next call."""
        self._found.pop(spec, None)

    def follow(self, spec: ModelSpec, version: int) -> None:
        """Notes that another version answers for a spec than the one described."""
        known = self._found.get(ModelSpec(spec.model, version))
        if known is None:
            self._found.pop(spec, None)
        else:
            self._found[spec] = known
