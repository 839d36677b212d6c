"""A service of a Compose file in the words of Docker's SDK.

Only what this project's stack uses is read, in Compose's short forms; anything else is refused, so
that no container runs otherwise than the file says.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The stack has its own order, waits for health itself, and builds nothing.
_IGNORED = ("attach", "build", "depends_on", "profiles")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(us|ms|s|m|h))")


@dataclass(frozen=True)
class Mount:
    """A folder that a container sees.

    Attributes:
        source: A volume's name in the Compose file, or an absolute path on the host.
        is_volume: Which of the two.
        target: Path in the container.
        read_only: Whether the container can't write there.
        no_copy: Whether a new volume stays empty, whatever the image has there.
        relabel: Whether SELinux is to let all containers see a path on the host.
    """

    source: str
    is_volume: bool
    target: str
    read_only: bool = False
    no_copy: bool = False
    relabel: bool = False


@dataclass(frozen=True)
class Service:
    """What a container of the stack is.

    Attributes:
        name: In the Compose file.
        image: Its name.
        is_built: Whether the image is built, and never pulled.
        command: Words behind the image's entry point.
        mounts: Volumes and folders.
        aliases: Names in the stack's network, beside the service's own.
        settings: Further arguments of `containers.run`.
    """

    name: str
    image: str
    is_built: bool
    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    aliases: tuple[str, ...]
    settings: Mapping[str, Any]


def translate(
    name: str, definition: Mapping[str, Any], *, folder: Path, volumes: Collection[str]
) -> Service:
    """Translates a service.

    Args:
        name: In the Compose file.
        definition: What stands there, variables put in.
        folder: What relative paths start from.
        volumes: Names of the volumes that the file declares.

    Raises:
        ValueError: something that isn't known here; says which key.
    """
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[Any], Any]] = {
        **_READERS,
        "volumes": lambda value: tuple(_mount(text, folder, volumes) for text in _texts(value)),
    }
    for key, value in definition.items():
        if key in _IGNORED or key.startswith("x-"):
            continue
        if key not in readers:
            raise ValueError(f"{key}: not known to the SDK's stack; use docker compose")
        try:
            found[key] = readers[key](value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    if not found.get("image"):
        raise ValueError("image: missing")
    if "restart" in found:
        found["restart_policy"] = found.pop("restart")
    return Service(
        name,
        found.pop("image"),
        found.pop("pull_policy", "") not in ("always", "missing") and "build" in definition,
        found.pop("command", ()),
        found.pop("volumes", ()),
        found.pop("networks", ()),
        found,
    )


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{value!r} is no text")
    return str(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no list")
    return tuple(_text(item) for item in value)


def _integer(value: Any) -> int:
    text = _text(value)
    if not re.fullmatch(r"-?\d+", text):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def _boolean(value: Any) -> bool:
    known = {"true": True, "false": False}
    text = str(value).lower()
    if text not in known:
        raise ValueError(f"{value!r} is neither true nor false")
    return known[text]


def _command(value: Any) -> tuple[str, ...]:
    return tuple(shlex.split(value)) if isinstance(value, str) else _texts(value)


def _size(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"\d+(\.\d+)?\s*([kmgt]?b?)", text, re.IGNORECASE):
        raise ValueError(f"{text!r} is no size, such as 512m or 4g")
    return text


def _tmpfs(value: Any) -> dict[str, str]:
    paths = (value,) if isinstance(value, str) else _texts(value)
    return {path: options for path, _, options in (text.partition(":") for text in paths)}


def _restart(value: Any) -> dict[str, Any]:
    name, _, count = _text(value).partition(":")
    if name not in ("no", "always", "unless-stopped", "on-failure") or (
        count and (name != "on-failure" or not count.isdecimal())
    ):
        raise ValueError(f"{value!r} is none of no, always, unless-stopped, on-failure[:COUNT]")
    return {"Name": name, **({"MaximumRetryCount": int(count)} if count else {})}


def _ports(value: Any) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for text in _texts(value):
        binding, _, protocol = text.partition("/")
        rest, _, target = binding.rpartition(":")
        address, _, published = rest.rpartition(":")
        if not all(n.isdecimal() and 0 < int(n) < 65536 for n in (target, published)):
            raise ValueError(f"{text!r} is no [ADDRESS:]PUBLISHED:TARGET with two port numbers")
        bound = (address.strip("[]") or "0.0.0.0", int(published))
        found.setdefault(f"{target}/{protocol or 'tcp'}", []).append(bound)
    return found


def _mount(text: str, folder: Path, volumes: Collection[str]) -> Mount:
    source, *rest = text.split(":")
    if len(rest) not in (1, 2):
        raise ValueError(f"{text!r} is no SOURCE:TARGET[:MODE]")
    target, *modes = rest
    words = set(modes[0].split(",")) if modes else set()
    is_volume = not source.startswith((".", "/", "~"))
    if words - ({"ro", "rw", "nocopy"} if is_volume else {"ro", "rw", "z"}):
        raise ValueError(f"{text!r}: {modes[0]!r} is not known to the SDK's stack")
    if not is_volume:
        source = str((folder / Path(source).expanduser()).resolve())
    elif source not in volumes:
        raise ValueError(f"{text!r}: the file declares no volume {source}")
    return Mount(source, is_volume, target, "ro" in words, "nocopy" in words, "z" in words)


def _networks(value: Any) -> tuple[str, ...]:
    networks = dict.fromkeys(value) if isinstance(value, list) else value
    if not isinstance(networks, dict) or list(networks) != ["default"]:
        raise ValueError(f"{value!r}: only the network default is known to the SDK's stack")
    settings = networks["default"] or {}
    if not isinstance(settings, dict) or settings.keys() - {"aliases"}:
        raise ValueError(f"default: {settings!r}: only aliases are known to the SDK's stack")
    return _texts(settings.get("aliases", []))


def _health_check(value: Any) -> dict[str, Any]:
    times = ("interval", "timeout", "start_period")
    if not isinstance(value, dict) or value.keys() - {"test", "retries", *times}:
        raise ValueError(f"{value!r} has more than test, retries, {', '.join(times)}")
    found: dict[str, Any] = {key: _nanoseconds(value[key]) for key in times if key in value}
    if "retries" in value:
        found["retries"] = _integer(value["retries"])
    if "test" in value:
        test = value["test"]
        found["test"] = ["CMD-SHELL", test] if isinstance(test, str) else list(_texts(test))
    return found


def _nanoseconds(value: Any) -> int:
    text = _text(value)
    if not re.fullmatch(f"(?:{_DURATION.pattern})+", text):
        raise ValueError(f"{text!r} is no time, such as 30s or 1m30s")
    seconds = sum(float(count) * _SECONDS[unit] for count, unit in _DURATION.findall(text))
    return round(seconds * 1e9)


_READERS: dict[str, Callable[[Any], Any]] = {
    "cap_drop": lambda value: list(_texts(value)),
    "command": _command,
    "entrypoint": lambda value: list(_command(value)),
    "healthcheck": _health_check,
    "image": _text,
    "init": _boolean,
    "mem_limit": _size,
    "networks": _networks,
    "pids_limit": _integer,
    "pull_policy": _text,
    "ports": _ports,
    "read_only": _boolean,
    "restart": _restart,
    "security_opt": lambda value: list(_texts(value)),
    "tmpfs": _tmpfs,
    "user": _text,
}
