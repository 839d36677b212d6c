"""Docker's engine: reaching it, and the images that it has or can pull."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from exporter.errors import UserError
from exporter.stack.service import Service

if TYPE_CHECKING:
    from docker import DockerClient


def connect() -> DockerClient:
    """Returns a client of the engine that `DOCKER_HOST` names, or of this machine's.

    Raises:
        UserError: the SDK isn't installed, or no engine answers.
    """
    try:
        import docker
        from docker.errors import DockerException
    except ModuleNotFoundError:
        raise UserError("the stack needs Docker's SDK: pip install docker") from None
    where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise UserError(
            f"no Docker engine at {where}; `make demo` needs none ({_innermost(error)})"
        ) from None
    return client


def can_run(client: DockerClient, image: str, architecture: str = "amd64") -> str:
    """Tells why the engine can't run an image of one architecture; empty where it can.

    An image that isn't here is pulled.
    """
    from docker.errors import APIError, ImageNotFound

    own = {"x86_64": "amd64", "aarch64": "arm64"}
    found = client.info()["Architecture"]
    if own.get(found, found) != architecture:
        return f"this engine is {found}, {image} is {architecture} alone"
    try:
        client.images.get(image)
    except ImageNotFound:
        try:
            client.images.pull(image)
        except APIError:
            return f"{image} can't be pulled"
    return ""


def ensure_image(client: DockerClient, service: Service) -> None:
    """Sees to it that a service's image is here; pulls it if it isn't one of this project's.

    Raises:
        UserError: it hasn't been built here, or it can't be pulled.
    """
    from docker.errors import APIError, ImageNotFound

    name = service.image
    try:
        client.images.get(name)
    except ImageNotFound:
        if service.is_built:
            raise UserError(
                f"no image {name} here; build it with: docker compose --profile embedded build"
            ) from None
        try:
            client.images.pull(name)
        except APIError as error:
            raise UserError(
                f"{name} can't be pulled ({error.explanation}); --server embedded needs no pull"
            ) from None


def _innermost(error: BaseException) -> str:
    """The cause at the root of nested connection errors, which alone says something."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
