"""The stack through Docker's SDK: what it starts is what Compose starts, and Compose sees it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from client import Client
from tests.support.compose import MODEL, ROOT, Compose

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SERVER = "model-server-embedded"


@pytest.fixture(scope="module")
def sdk(images):
    """A project of its own, and what `up` printed."""
    project = Compose.new()
    done = _stack(
        *("up", "--project", project.project, "--model", MODEL),
        *("--num_epochs", "1", "--port", str(project.grpc_port)),
        *("--rest_api_port", str(project.rest_port)),
    )
    yield project, done
    project("--profile", "embedded", "down", "--volumes", "--timeout", "5", check=False)


def test_up_exports_and_serves(sdk):
    project, done = sdk
    assert done.returncode == 0, done.stdout + done.stderr
    # No registry has this tag.
    assert "the embedded model server: tensorflow/serving:none can't be pulled" in done.stdout
    assert "published /models" in done.stdout
    assert f"curl http://127.0.0.1:{project.rest_port}/v1/models/{MODEL}" in done.stdout
    for api, port in (("rest", project.rest_port), ("grpc", project.grpc_port)):
        with Client("127.0.0.1", port, api) as client:
            image = np.zeros((1, 28, 28, 1), np.float32)
            assert client.predict(MODEL, image).output.shape == (1, 10)


@pytest.mark.parametrize("service", ["exporter", SERVER])
def test_containers_are_those_that_compose_starts(engine, sdk, stack, service):
    ours, theirs = (_described(engine, project, service) for project in (sdk[0], stack))
    assert ours == theirs


def test_compose_lists_and_removes_them(engine, sdk):
    project, _ = sdk
    listed = project("--profile", "embedded", "ps", "--all", "--format", "{{.Service}}").stdout
    assert set(listed.split()) == {"exporter", SERVER}
    assert "published /models" in project("--profile", "embedded", "logs", "exporter").stdout
    project("--profile", "embedded", "down", "--volumes", "--timeout", "5")
    assert project.containers(engine, SERVER) == []
    done = _stack("status", "--project", project.project, "--json")
    assert json.loads(done.stdout) == []


def test_without_a_file_it_says_where_to_run(tmp_path):
    done = _stack("status", "--compose_file", str(tmp_path / "compose.yaml"))
    assert done.returncode == 2
    assert "there is no such file; run this where the project's compose.yaml is" in done.stderr


def _described(engine, project, service):
    """How a container is set up, but for its ports and for what carries the project's name."""
    container = project.container(engine, service)
    config, host = container.attrs["Config"], container.attrs["HostConfig"]
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    keys = ("CapDrop", "Init", "Memory", "PidsLimit", "ReadonlyRootfs", "RestartPolicy", "Tmpfs")
    mounts = [(m["Type"], m["Destination"], m["RW"]) for m in container.attrs["Mounts"]]
    return {
        **{key: host[key] for key in keys},
        "Privileges": host["SecurityOpt"],
        **{key: config.get(key) for key in ("Image", "Cmd", "User", "Healthcheck", "Entrypoint")},
        "Ports": sorted(host["PortBindings"] or {}),
        "Mounts": sorted(mounts),
        "Aliases": {service, "model-server"} & set(network["Aliases"] or []),
    }


def _stack(*arguments):
    command = [sys.executable, "-m", "exporter", "stack", *arguments]
    environment = {**os.environ, "TF_SERVING_TAG": "none"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
