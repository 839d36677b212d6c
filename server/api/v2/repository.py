"""The repository API: what is configured, and models out of service and back.

Source: triton-inference-server/server, docs/protocol/extension_model_repository.md. Its repository
is a directory from which models are chosen; here it is the configuration. `unload` takes a model
out of service, after the requests that are under way, until `load`. `load` looks at the disk at
once, tries again what has failed, and answers when the model does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from server.api.v2.inputs import unsupported
from server.errors import Code, ServingError
from server.inference.core import Core
from server.models import switches
from server.models.model import ServedModel
from server.models.version import Version, VersionState

_STATES = {
    VersionState.START: "LOADING",
    VersionState.LOADING: "LOADING",
    VersionState.AVAILABLE: "READY",
    VersionState.UNLOADING: "UNLOADING",
    VersionState.END: "UNAVAILABLE",
}
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


def index(core: Core, repository: str, *, ready_only: bool) -> list[Entry]:
    """Returns the models that are configured, with the versions of each, by name and number.

    Raises:
        ServingError: UNIMPLEMENTED, a repository is named.
    """
    _check_repository(repository)
    models = core.repository.models
    found = [entry for name in sorted(models) for entry in _entries(models[name])]
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


def _entries(model: ServedModel) -> Iterable[Entry]:
    name = model.config.name
    for number in sorted(model.versions):
        version = model.versions[number]
        yield Entry(name, str(number), _STATES[version.state], _reason(model, version))
    if not model.versions:
        yield Entry(name, "", _STATES[VersionState.END], _absence(model))


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
