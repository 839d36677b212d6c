"""A real Docker engine, the images that Compose builds, and one stack that the tests share."""

import docker
import pytest
from docker.errors import DockerException

from tests.support import needs
from tests.support.compose import GET_ENGINE, SCALE, Compose, image

SERVER = "model-server-embedded"


@pytest.fixture(scope="session")
def engine():
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        needs.missing(f"no Docker engine answers ({error}); {GET_ENGINE}")
    yield client
    client.close()


@pytest.fixture(scope="session")
def compose(engine):
    compose = Compose.new()
    yield compose
    compose(*SCALE, "--profile", "embedded", "down", "--volumes", "--timeout", "5", check=False)


@pytest.fixture(scope="session")
def images(engine, compose):
    compose(*SCALE, "--profile", "embedded", "build", BASE_IMAGE=image("base-image"))
    names = ("exporter", "server", "client", "balancer")
    return {name: engine.images.get(f"jax-serving-stack/{name}") for name in names}


@pytest.fixture(scope="session")
def first_run(compose, images):
    """The finished `docker compose --profile embedded up --exit-code-from client`."""
    return compose("--profile", "embedded", "up", "--exit-code-from", "client", check=False)


@pytest.fixture(scope="session")
def stack(compose, first_run):
    """The stack with its model server running; version 1 is published."""
    compose("--profile", "embedded", "up", "--detach", "--wait", "--no-deps", SERVER)
    return compose
