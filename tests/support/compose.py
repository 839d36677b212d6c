"""Compose on a real engine, for one project of its own."""

import os
import shutil
import socket
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import needs

ROOT = Path(__file__).parents[2]
SCALE = ("-f", "compose.yaml", "-f", "docker/compose.scale.yaml")
MODEL = "mnist_pure_jax"
GET_ENGINE = "get one on Debian with: sudo scripts/docker-engine"


def image(script):
    """The image that a script of ours finds, or a stand-in that it makes."""
    done = subprocess.run([ROOT / "scripts" / script], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass(frozen=True)
class Compose:
    """`docker compose` for one project, with ports that are free."""

    project: str
    grpc_port: int
    rest_port: int

    @classmethod
    def new(cls):
        return cls(f"test-{uuid.uuid4().hex[:8]}", _free_port(), _free_port())

    def __call__(self, *arguments, check=True, **variables):
        return self.run("docker", "compose", *arguments, check=check, **variables)

    def run(self, *command, check=True, **variables):
        """Runs a command for this project."""
        if shutil.which("docker") is None:
            needs.missing(f"no docker command here; {GET_ENGINE}")
        environment = {
            "COMPOSE_PROJECT_NAME": self.project,
            "DOCKER_BUILDKIT": "1",
            "MODEL": MODEL,
            "NUM_EPOCHS": "1",
            "GRPC_PORT": str(self.grpc_port),
            "REST_PORT": str(self.rest_port),
        }
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **environment, **variables},
            capture_output=True,
            text=True,
        )
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done

    def container(self, engine, service):
        """The container of a service, running or not."""
        return self.containers(engine, service)[0]

    def containers(self, engine, service):
        label = f"com.docker.compose.project={self.project}"
        found = engine.containers.list(all=True, filters={"label": label})
        return [c for c in found if c.labels["com.docker.compose.service"] == service]

    @property
    def volume(self):
        return f"{self.project}_models"


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
