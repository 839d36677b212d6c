"""The container stack through Docker's SDK: the exporter runs, then a model server stays.

Its containers have Compose's names and labels, so `docker compose ps`, `logs` and `down` see them,
and what `docker compose up` started is seen here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.errors import CheckFailed, UserError
from exporter.stack.container import (
    HARDENED,
    LABEL,
    ContainerStatus,
    describe,
    health_check,
    service_of,
)
from exporter.stack.engine import official_image, own_image

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_USER = "10001:10001"
_POLL_S = 0.5


@dataclass(frozen=True)
class StackOptions:
    """What runs and where it listens.

    Attributes:
        project: Prefix of the names of containers, network and volume.
        server: `"official"` (the tensorflow/serving image) or `"embedded"` (this project's).
        serving_tag: Tag of the official image.
        model: Name of the model.
        model_version: A number, or `"auto"` for the next one.
        num_epochs: Epochs of the training.
        bind_address: Address of this machine on which both ports are published.
        grpc_port: Port of the gRPC API there.
        rest_port: Port of the REST API there.
        ready_timeout_s: How long the server may take to answer, in seconds.
    """

    project: str = "jax-serving-stack"
    server: str = "official"
    serving_tag: str = "2.20.0"
    model: str = "mnist_flax"
    model_version: str = "auto"
    num_epochs: int = 3
    bind_address: str = "127.0.0.1"
    grpc_port: int = 8500
    rest_port: int = 8501
    ready_timeout_s: float = 120.0


class Stack:
    """The containers, network and volume of one project."""

    def __init__(self, client: DockerClient, options: StackOptions) -> None:
        self._client = client
        self._options = options

    def up(self, show: Callable[[str], None]) -> None:
        """Publishes a version and starts the server, or leaves it to a running one to pick it up.

        Args:
            show: Gets the exporter's output, line by line.

        Raises:
            UserError: an image isn't there and can't be pulled, or a port is taken.
            CheckFailed: the exporter failed, or the server didn't become ready.
        """
        exporter_image, server_image = self._images()
        self._ensure_network()
        self._ensure_volume()
        self._export(exporter_image, show)
        self._wait_until_ready(self._ensure_server(server_image))

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
            raise UserError(f"the stack {self._options.project} has no {what}")
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
        label = {"label": f"{LABEL}.project={self._options.project}"}
        for network in self._client.networks.list(filters=label):
            network.remove()
            removed.append(network.name)
        for volume in self._client.volumes.list(filters=label) if volumes else ():
            volume.remove()
            removed.append(volume.name)
        return [name for name in removed if name]

    def _images(self) -> tuple[str, str]:
        exporter = own_image(self._client, "exporter")
        if self._options.server == "embedded":
            return exporter, own_image(self._client, "embedded")
        return exporter, official_image(self._client, self._options.serving_tag)

    def _export(self, image: str, show: Callable[[str], None]) -> None:
        options = self._options
        self._remove("exporter")
        container = self._run(
            "exporter",
            image,
            [
                f"--model={options.model}",
                "--model_path=/models",
                f"--model_version={options.model_version}",
                f"--num_epochs={options.num_epochs}",
                "--serving_batch_size=-1",
            ],
            mem_limit="4g",
            volumes={self._volume: {"bind": "/models", "mode": "rw"}},
        )
        for line in container.logs(stream=True, follow=True):
            show(line.decode(errors="replace").rstrip("\n"))
        code = container.wait()["StatusCode"]
        if code != 0:
            raise CheckFailed(f"the exporter ended with {code}; nothing was published")

    def _ensure_server(self, image: str) -> Container:
        from docker.errors import APIError

        options = self._options
        service = self._server_service
        running = [c for c in self._containers() if service_of(c) == service]
        if running and running[0].status == "running":
            return running[0]
        self._remove(service)
        try:
            return self._run(
                service,
                image,
                [
                    f"--model_name={options.model}",
                    f"--model_base_path=/models/{options.model}",
                    "--xla_cpu_compilation_enabled=true",
                ],
                user=_USER,
                mem_limit="2g",
                restart_policy={"Name": "unless-stopped"},
                ports={
                    "8500/tcp": (options.bind_address, options.grpc_port),
                    "8501/tcp": (options.bind_address, options.rest_port),
                },
                volumes={self._volume: {"bind": "/models", "mode": "ro,nocopy"}},
                healthcheck=health_check(options.model),
            )
        except APIError as error:
            self._remove(service)
            raise UserError(f"the model server doesn't start: {error.explanation}") from None

    def _wait_until_ready(self, server: Container) -> None:
        end = time.monotonic() + self._options.ready_timeout_s
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

    def _ensure_volume(self) -> None:
        # Creating a volume that is there leaves it as it is.
        self._client.volumes.create(
            self._volume, labels=self._labels() | {f"{LABEL}.volume": "models"}
        )

    def _remove(self, service: str) -> None:
        for container in self._containers():
            if service_of(container) == service:
                container.remove(force=True)

    def _containers(self) -> list[Container]:
        return self._client.containers.list(
            all=True, filters={"label": f"{LABEL}.project={self._options.project}"}
        )

    def _run(self, service: str, image: str, command: list[str], **settings: Any) -> Container:
        """Starts a hardened container that Compose takes for its own."""
        labels = self._labels() | {
            f"{LABEL}.service": service,
            f"{LABEL}.container-number": "1",
            f"{LABEL}.oneoff": "False",
            # Compose lists what has one, and replaces what has another than its own.
            f"{LABEL}.config-hash": "sdk",
        }
        return self._client.containers.run(
            image,
            command,
            detach=True,
            name=f"{self._options.project}-{service}-1",
            labels=labels,
            network=self._network,
            **HARDENED,
            **settings,
        )

    def _labels(self) -> dict[str, str]:
        return {f"{LABEL}.project": self._options.project}

    @property
    def _server_service(self) -> str:
        return "model-server" if self._options.server == "official" else "model-server-embedded"

    @property
    def _network(self) -> str:
        return f"{self._options.project}_default"

    @property
    def _volume(self) -> str:
        return f"{self._options.project}_models"
