"""The Compose file: the one place that says what the stack's containers are."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.errors import UserError
from exporter.stack import service, variables
from exporter.stack.service import Service

_KNOWN = ("name", "services", "volumes", "version")


@dataclass(frozen=True)
class ComposeFile:
    """A Compose file, variables put in.

    Attributes:
        path: The file.
        project: Prefix of the names of containers, network and volumes.
        services: Definitions by name.
        volumes: Names of the volumes that it declares.
    """

    path: Path
    project: str
    services: Mapping[str, Mapping[str, Any]]
    volumes: tuple[str, ...]

    def service(self, name: str) -> Service:
        """Returns a service.

        Raises:
            UserError: there is none of that name, or it has something that isn't known here.
        """
        if name not in self.services:
            known = ", ".join(self.services)
            raise UserError(f"{self.path}: there is no service {name} (there are: {known})")
        try:
            return service.translate(
                name, self.services[name], folder=self.path.absolute().parent, volumes=self.volumes
            )
        except ValueError as error:
            raise UserError(f"{self.path}: services.{name}.{error}") from None


def read(
    path: Path,
    settings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> ComposeFile:
    """Reads a Compose file as `docker compose` does.

    Args:
        path: The file. A `.env` beside it holds the variables' defaults.
        settings: Variables that win over the environment's.
        environment: Variables that win over those of `.env`; the process's own by default.

    Raises:
        UserError: there is no such file, it isn't YAML or no Compose file, or it has something
            that isn't known here.
    """
    content = _load(path)
    _check(path, content)
    around = {**(os.environ if environment is None else environment), **(settings or {})}
    known = {**variables.read_env_file(path.with_name(".env"), around), **around}
    content = {key: _filled(value, known, f"{path}: {key}") for key, value in content.items()}
    folder = re.sub(r"[^a-z0-9_-]", "", path.absolute().parent.name.lower())
    return ComposeFile(
        path,
        known.get("COMPOSE_PROJECT_NAME") or str(content.get("name") or folder),
        content["services"],
        tuple(content.get("volumes") or ()),
    )


def _load(path: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise UserError("the stack needs PyYAML: pip install PyYAML") from None
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: there is no such file; run this where the project's compose.yaml is, or "
            "give its path: --compose_file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        text = getattr(error, "problem", None) or " ".join(str(error).split())
        raise UserError(f"{path}: {where}{text}") from None


def _check(path: Path, content: Any) -> None:
    if not isinstance(content, dict) or not isinstance(content.get("services"), dict):
        raise UserError(f"{path} is no Compose file: it has no services")
    others = [key for key in content if key not in _KNOWN and not str(key).startswith("x-")]
    if others:
        names = ", ".join(map(str, others))
        raise UserError(f"{path}: {names}: not known to the SDK's stack; use docker compose")
    for name, definition in content["services"].items():
        if not isinstance(definition, dict):
            raise UserError(f"{path}: services.{name}: {definition!r} is no service")
    for name, definition in (content.get("volumes") or {}).items():
        if definition:
            raise UserError(f"{path}: volumes.{name}: the SDK's stack knows no settings of volumes")


def _filled(value: Any, known: Mapping[str, str], place: str) -> Any:
    """Puts variables into the texts of a value; keys stay as they are."""
    if isinstance(value, dict):
        return {key: _filled(item, known, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known, place) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return variables.interpolate(value, known)
    except ValueError as error:
        raise UserError(f"{place}: {error}") from None
