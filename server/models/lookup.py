"""The version that a request is for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from server.errors import Code, ServingError, invalid
from server.models.discovery import Seen
from server.models.model import ServedModel
from server.models.model_config import ModelConfig
from server.models.servable import Servable
from server.models.version import Version


def find(models: Mapping[str, ServedModel], name: str, version: int | None, label: str) -> Servable:
    """Returns the servable of a version, of a label's version, or of the latest.

    Raises:
        ServingError: in the words of TensorFlow Serving (server_core.cc, basic_manager.cc).
    """
    model = models.get(name)
    version = _asked_version(model, version, label)
    servable = model and (model.latest if version is None else model.available.get(version))
    if servable:
        return servable
    if not name:
        raise invalid("ModelSpec has no name specified.")
    wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")


def versions(
    model: ServedModel | None, name: str, version: int | None, label: str
) -> list[Version]:
    """Returns the versions of a model that its status lists, highest first.

    Raises:
        ServingError: NOT_FOUND, or the label is unknown (get_model_status_impl.cc).
    """
    version = _asked_version(model, version, label)
    found = model.versions if model else {}
    if version is not None:
        if version not in found:
            raise ServingError(Code.NOT_FOUND, f"Could not find version {version} of model {name}")
        return [found[version]]
    if not found:
        raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
    return [found[number] for number in sorted(found, reverse=True)]


def _asked_version(model: ServedModel | None, version: int | None, label: str) -> int | None:
    """Returns the version that a request is for; None for any.

    Version 0 of a model that has no such version is any, too: OpenVINO's clients send it.
    """
    if label:
        version = model.config.labels.get(label) if model else None
        if version is None:
            raise invalid(f"Unrecognized servable version label: {label}")
    elif version == 0 and model is not None and 0 not in model.versions:
        return None
    return version


def check_labels(configs: Iterable[ModelConfig], found: Mapping[str, Seen]) -> None:
    """Refuses labels of versions that won't be there.

    Serving wants them to be available already (server_core.cc), so a label can't be configured at
    start-up; here it is enough that the version is on its way.

    Raises:
        ServingError: FAILED_PRECONDITION.
    """
    for config in configs:
        seen = found.get(config.name)
        aspired = config.policy.aspired((seen and seen.versions) or {})
        for number in config.labels.values():
            if number not in aspired:
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {number} of model {config.name}, "
                    "which is not currently available for inference",
                )
