"""The container stack through Docker's SDK: the exporter runs, then a model server stays.

Its containers have Compose's names and labels, so `docker compose ps`, `logs` and `down` see them,
and what `docker compose up` started is seen here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from exporter.errors import CheckFailed, UserError
from exporter.stack.container import LABEL, ContainerStatus, describe, service_of
from exporter.stack.engine import ensure_image
from exporter.stack.service import Mount, Service

if TYPE_CHECKING:
    from docker import DockerClient, types
    from docker.models.containers import Container

_POLL_S = 0.5


class Stack:
    """The containers, network and volumes of one project.

    Args:
        client: Of Docker's engine.
        project: Prefix of the names of containers, network and volumes.
        ready_timeout_s: How long the server may take to answer, in seconds.
    """

    def __init__(self, client: DockerClient, project: str, *, ready_timeout_s: float = 120.0):
        self._client = client
        self._project = project
        self._ready_timeout_s = ready_timeout_s

    def up(
        self,
        exporter: Service,
        server: Service,
        show: Callable[[str], None],
        *,
        instead_of: Collection[str] = (),
    ) -> None:
        """Publishes a version and starts the server, or leaves it to a running one to pick it up.

        Args:
            exporter: Ends by itself.
            server: Checks its own health.
            show: Gets the exporter's output, line by line.
            instead_of: Other services that would have the server's ports; they are removed.

        Raises:
            UserError: an image isn't there and can't be pulled, or a port is taken.
            CheckFailed: the exporter failed, or the server didn't become ready.
        """
        for service in (exporter, server):
            ensure_image(self._client, service)
        self._ensure_network()
        for name in {m.source for s in (exporter, server) for m in s.mounts if m.is_volume}:
            self._ensure_volume(name)
        self._export(exporter, show)
        for name in instead_of:
            self._remove(name)
        self._wait_until_ready(self._ensure_running(server))

    def status(self) -> list[ContainerStatus]:
        """Returns the stack's containers, the exporter first."""
        return sorted((describe(c) for c in self._containers()), key=lambda s: s.service)

    def logs(self, service: str | None = None, *, tail: int = 100) -> Iterator[str]:
        """Yields the last lines of each container, with its service in front.

        Raises:
            UserError: no container of that service.
        """
        containers = [c for c in self._containers() if service in (None, service_of(c))]
        if not containers:
            what = f"service {service}" if service else "container"
            raise UserError(f"the stack {self._project} has no {what}")
        for container in containers:
            for line in container.logs(tail=tail).decode(errors="replace").splitlines():
                yield f"{service_of(container)}  {line}"

    def down(self, *, volumes: bool = False) -> list[str]:
        """Stops and removes the containers and the network; returns the removed names.

        Args:
            volumes: Remove the published models too.
        """
        containers = self._containers()
        removed = []
        for container in containers:
            container.stop()
            container.remove(v=True)
            removed.append(container.name)
        label = {"label": f"{LABEL}.project={self._project}"}
        for network in self._client.networks.list(filters=label):
            network.remove()
            removed.append(network.name)
        for volume in self._client.volumes.list(filters=label) if volumes else ():
            volume.remove()
            removed.append(volume.name)
        return [name for name in removed if name]

    def _export(self, exporter: Service, show: Callable[[str], None]) -> None:
        container = self._run(exporter)
        for line in container.logs(stream=True, follow=True):
            show(line.decode(errors="replace").rstrip("\n"))
        code = container.wait()["StatusCode"]
        if code != 0:
            raise CheckFailed(f"the exporter ended with {code}; nothing was published")

    def _ensure_running(self, server: Service) -> Container:
        for container in self._containers():
            if service_of(container) == server.name and container.status == "running":
                return container
        return self._run(server)

    def _wait_until_ready(self, server: Container) -> None:
        end = time.monotonic() + self._ready_timeout_s
        while time.monotonic() < end:
            server.reload()
            if server.health == "healthy":
                return
            if server.attrs["RestartCount"] or server.status == "exited":
                break
            time.sleep(_POLL_S)
        last = server.logs(tail=1).decode(errors="replace").strip()
        raise CheckFailed(f"the model server isn't ready, it is {server.status}: {last}")

    def _ensure_network(self) -> None:
        if not self._client.networks.list(names=[f"^{self._network}$"]):
            self._client.networks.create(
                self._network, labels=self._labels() | {f"{LABEL}.network": "default"}
            )

    def _ensure_volume(self, name: str) -> None:
        # Creating a volume that is there leaves it as it is.
        labels = self._labels() | {f"{LABEL}.volume": name}
        self._client.volumes.create(f"{self._project}_{name}", labels=labels)

    def _remove(self, service: str) -> None:
        for container in self._containers():
            if service_of(container) == service:
                container.remove(force=True)

    def _containers(self) -> list[Container]:
        return self._client.containers.list(
            all=True, filters={"label": f"{LABEL}.project={self._project}"}
        )

    def _run(self, service: Service) -> Container:
        """Starts a container that Compose takes for its own, in place of an earlier one."""
        from docker.errors import APIError

        self._remove(service.name)
        labels = self._labels() | {
            f"{LABEL}.service": service.name,
            f"{LABEL}.container-number": "1",
            f"{LABEL}.oneoff": "False",
            # Compose lists what has one, and replaces what has another than its own.
            f"{LABEL}.config-hash": "sdk",
        }
        names = [service.name, *service.aliases]
        endpoint = self._client.api.create_endpoint_config(aliases=names)
        try:
            return self._client.containers.run(
                service.image,
                list(service.command),
                detach=True,
                name=f"{self._project}-{service.name}-1",
                labels=labels,
                network=self._network,
                networking_config={self._network: endpoint},
                mounts=[self._mount(mount) for mount in service.mounts if not mount.relabel],
                # A label for SELinux can be asked for in this form alone; of the SDK's two ways to
                # say it, the list of strings makes volumes of modes that it doesn't know.
                volumes={
                    mount.source: {
                        "bind": mount.target,
                        "mode": "ro,z" if mount.read_only else "rw,z",
                    }
                    for mount in service.mounts
                    if mount.relabel
                },
                **service.settings,
            )
        except APIError as error:
            self._remove(service.name)
            raise UserError(f"{service.name} doesn't start: {error.explanation}") from None

    def _mount(self, mount: Mount) -> types.Mount:
        from docker import types

        if mount.is_volume:
            source = f"{self._project}_{mount.source}"
            return types.Mount(
                mount.target, source, read_only=mount.read_only, no_copy=mount.no_copy
            )
        return types.Mount(mount.target, mount.source, type="bind", read_only=mount.read_only)

    def _labels(self) -> dict[str, str]:
        return {f"{LABEL}.project": self._project}

    @property
    def _network(self) -> str:
        return f"{self._project}_default"
