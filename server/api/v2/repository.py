"""The repository API: what is configured, and models out of service and back.

Source: triton-inference-server/server, docs/protocol/extension_model_repository.md. Its repository
is a directory from which models are chosen; here it is the configuration. `unload` takes a model
out of service, after the requests that are under way, until `load`. `load` looks at the disk at
once, tries again what has failed, and answers when the model does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from server.api.v2.inputs import unsupported
from server.errors import Code, ServingError
from server.inference.core import Core
from server.models import switches
from server.models.version import VersionState
from server.telemetry.report import Reports

_STATES = {
    VersionState.START: "LOADING",
    VersionState.LOADING: "LOADING",
    VersionState.AVAILABLE: "READY",
    VersionState.UNLOADING: "UNLOADING",
    VersionState.END: "UNAVAILABLE",
}
_READINESS = ("UNAVAILABLE", "UNLOADING", "LOADING", "READY")  # the least first
_OVERRIDES = "config", "file:"  # parameters of a load with a model of the client's own


class Entry(NamedTuple):
    """A version in the index; its fields are the protocol's.

    Attributes:
        version: Empty for a model without any.
        reason: Why it isn't ready; empty where it is.
    """

    name: str
    version: str
    state: str
    reason: str


async def index(core: Core, repository: str, *, ready_only: bool) -> list[Entry]:
    """Returns the models that are configured, with the versions of each, by name and number.

    It speaks for all workers: a connection may reach any of them.

    Raises:
        ServingError: UNIMPLEMENTED, a repository is named; UNAVAILABLE, the workers can't be asked.
    """
    _check_repository(repository)
    found = _gathered(await core.reports())
    return [entry for entry in found if entry.state == "READY" or not ready_only]


async def load(core: Core, repository: str, name: str, parameters: Collection[str]) -> None:
    """Brings a model into service, in all workers.

    Raises:
        ServingError: NOT_FOUND, no such model is configured; FAILED_PRECONDITION, it couldn't be
            loaded; UNIMPLEMENTED, the request brings a model of its own.
    """
    for parameter in parameters:
        if parameter.startswith(_OVERRIDES):
            raise unsupported(
                f"load parameter {parameter}", "models come from the paths that are configured"
            )
    try:
        await _turn(core, repository, name, is_on=True)
    except ServingError as error:
        if error.code is not Code.UNKNOWN:
            raise
        raise ServingError(
            Code.FAILED_PRECONDITION, f"failed to load {name}: {_failure(core, name)}"
        ) from None


async def unload(core: Core, repository: str, name: str) -> None:
    """Takes a model out of service, in all workers; requests under way are answered.

    Raises:
        ServingError: NOT_FOUND, no such model is configured.
    """
    await _turn(core, repository, name, is_on=False)


async def _turn(core: Core, repository: str, name: str, *, is_on: bool) -> None:
    _check_repository(repository)
    await core.configure(switches.turned(core.repository.configs, name, is_on=is_on))


def _check_repository(repository: str) -> None:
    if repository:
        raise unsupported(f"repository {repository}", "leave the repository's name out")


def _gathered(reports: Reports) -> Iterable[Entry]:
    """Returns what all workers say of each version: it is as ready as where it is the least."""
    found: dict[tuple[str, int], list[Entry]] = {}
    for worker, report in enumerate(reports):
        for status in report.versions if report is not None else ():
            state = _STATES[status.state]
            reason = status.reason
            if reason and len(reports) > 1:
                reason = f"worker {worker}: {reason}"
            number = "" if status.number is None else str(status.number)
            entry = Entry(status.name, number, state, reason)
            found.setdefault((status.name, status.number or 0), []).append(entry)
    for key in sorted(found):
        yield _least(found[key], len(reports))


def _least(entries: Sequence[Entry], workers: int) -> Entry:
    least = min(entries, key=lambda entry: _READINESS.index(entry.state))
    if len(entries) == workers or least.state != "READY":
        return least
    missing = f"{workers - len(entries)} of {workers} workers don't have it"
    return least._replace(state=_STATES[VersionState.LOADING], reason=missing)


def _failure(core: Core, name: str) -> str:
    model = core.repository.models.get(name)
    if model is None:
        return "it is no longer configured"
    failures = [
        f"version {number}: {version.error.message}"
        for number, version in sorted(model.versions.items())
        if version.error is not None
    ]
    return "; ".join(failures) or "no version of it was found"
