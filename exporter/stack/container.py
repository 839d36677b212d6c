"""One container: its labels, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker.models.containers import Container

# What Compose knows its containers, networks and volumes by.
LABEL = "com.docker.compose"


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
