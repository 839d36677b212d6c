"""Several model servers behind the balancer."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from client import Client
from tests.support.compose import MODEL, ROOT, SCALE, Compose

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SERVER = "model-server-embedded"
COUNT = 2


@pytest.fixture(scope="module")
def scaled(stack):
    """The shared stack's project, with more servers behind the balancer for this module."""
    up = ("up", "--detach", "--wait", "--no-deps", "--scale", f"{SERVER}={COUNT}")
    stack(*SCALE, "--profile", "embedded", *up, SERVER, "balancer")
    yield stack
    stack(*SCALE, "--profile", "embedded", "rm", "--stop", "--force", "balancer", SERVER)
    stack("--profile", "embedded", "up", "--detach", "--wait", "--no-deps", SERVER)


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_every_server_gets_requests_of_one_connection(engine, scaled, api):
    before = _requests(engine, scaled, api)
    with _client(scaled, api) as client:
        client.wait_until_ready(MODEL)
        for _ in range(20):
            client.predict(MODEL, _image())
    after = _requests(engine, scaled, api)
    gained = [count - before.get(server, 0) for server, count in after.items()]
    assert sum(count > 0 for count in gained) == COUNT, (before, after)


def test_a_killed_server_fails_no_request(engine, scaled):
    with _client(scaled, "rest") as client:
        client.wait_until_ready(MODEL)
        client.predict(MODEL, _image())
        scaled.containers(engine, SERVER)[0].exec_run(["sh", "-c", "kill -9 -1"])
        for _ in range(50):
            client.predict(MODEL, _image())


def test_sdk_sees_what_compose_started(scaled):
    status = _stack("status", "--json", project=scaled.project)
    services = [entry["service"] for entry in json.loads(status)]
    assert services.count(SERVER) == COUNT
    assert {"exporter", "client", "balancer"} <= set(services)
    assert "published /models" in _stack("logs", "exporter", project=scaled.project)


def test_sdk_says_what_to_do_without_an_engine():
    command = [sys.executable, "-m", "exporter", "stack", "status"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"DOCKER_HOST": "unix:///nowhere/docker.sock"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "no Docker engine at unix:///nowhere/docker.sock; `make demo` needs none" in done.stderr


def _client(stack: Compose, api):
    return Client("localhost", stack.grpc_port if api == "grpc" else stack.rest_port, api)


def _image():
    return np.zeros((1, 28, 28, 1), np.float32)


def _requests(engine, stack, api):
    """Answers that the balancer has had from each server, health checks not counted."""
    read = "import urllib.request as u; print(u.urlopen('http://balancer:8404/metrics').read())"
    server = stack.container(engine, SERVER)
    text = server.exec_run(["python", "-c", read]).output.decode().replace("\\n", "\n")
    series = rf'responses_total{{proxy="{api}_servers",server="(\w+)",code="2xx"}} (\d+)'
    return {name: int(count) for name, count in re.findall(f"haproxy_server_http_{series}", text)}


def _stack(*arguments, project):
    command = [sys.executable, "-m", "exporter", "stack", *arguments, "--project", project]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
