"""Which versions there are, and why one doesn't serve: for what speaks for several processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from server.models.model import ServedModel
from server.models.version import Version, VersionState


class VersionStatus(NamedTuple):
    """A version of a configured model.

    Attributes:
        number: None for a model without any version.
        reason: Why it isn't available; empty where it is, or is on its way.
    """

    name: str
    number: int | None
    state: VersionState
    reason: str


def statuses(models: Iterable[ServedModel]) -> Iterator[VersionStatus]:
    """Yields the versions of models, by number; a model without any has one entry."""
    for model in models:
        name = model.config.name
        for number in sorted(model.versions):
            version = model.versions[number]
            yield VersionStatus(name, number, version.state, _reason(model, version))
        if not model.versions:
            yield VersionStatus(name, None, VersionState.END, _absence(model))


def _reason(model: ServedModel, version: Version) -> str:
    if version.error is not None:
        return version.error.message
    if version.state is VersionState.END:
        return "unloaded" if model.config.switch.is_on else _absence(model)
    return ""


def _absence(model: ServedModel) -> str:
    if model.config.switch.is_on:
        return "no version of it was found"
    return "unloaded by a client, until it is loaded again"
