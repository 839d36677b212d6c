"""One container: how it is confined, labelled and checked, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker.models.containers import Container

# What Compose knows its containers, networks and volumes by.
LABEL = "com.docker.compose"

# Source: compose.yaml, `x-hardened`.
HARDENED: dict[str, Any] = {
    "init": True,
    "read_only": True,
    "tmpfs": {"/tmp": ""},
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "pids_limit": 2048,
}


@dataclass(frozen=True)
class ContainerStatus:
    """One container of the stack.

    Attributes:
        service: Its part in the stack, such as `exporter`.
        state: Docker's word: `running`, `exited` …
        health: `healthy`, `starting`, `unhealthy`, or empty where nothing is checked.
        exit_code: Of a container that has ended, else None.
        ports: Published ports, as `127.0.0.1:8501->8501`.
    """

    service: str
    image: str
    state: str
    health: str
    exit_code: int | None
    ports: tuple[str, ...]


def describe(container: Container) -> ContainerStatus:
    """Returns what is known of a container, as of its last reload."""
    state = container.attrs["State"]
    ports = tuple(
        f"{binding['HostIp']}:{binding['HostPort']}->{port.split('/')[0]}"
        for port, bindings in sorted(container.ports.items())
        for binding in bindings or ()
    )
    return ContainerStatus(
        service=service_of(container),
        image=container.attrs["Config"]["Image"],
        state=container.status,
        health=state.get("Health", {}).get("Status", ""),
        exit_code=state["ExitCode"] if container.status == "exited" else None,
        ports=ports,
    )


def service_of(container: Container) -> str:
    """Returns a container's part in the stack."""
    return str(container.labels.get(f"{LABEL}.service", container.name))


def health_check(model: str) -> dict[str, Any]:
    """Asks for the model's state in bash alone, as compose.yaml does; times are in nanoseconds."""
    second = 1_000_000_000
    ask = (
        "exec 3<>/dev/tcp/127.0.0.1/8501"
        rf" && printf 'GET /v1/models/{model} HTTP/1.0\r\n\r\n' >&3"
        " && grep -q AVAILABLE <&3"
    )
    return {
        "test": ["CMD", "bash", "-c", ask],
        "interval": second,
        "timeout": 3 * second,
        "retries": 60,
    }
