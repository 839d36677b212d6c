"""The running stack: its exit code, its ports, a new version, a killed server."""

import json
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from client import Client, ServingError
from tests.support.compose import MODEL, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SERVER = "model-server-embedded"


def test_stack_ends_with_the_clients_exit_code(first_run):
    assert first_run.returncode == 0, first_run.stdout + first_run.stderr
    assert first_run.stdout.count("agrees") == 2, first_run.stdout  # REST and gRPC


def test_stack_shows_what_the_exporter_does_and_ends_with_its_addresses(first_run, compose):
    lines = first_run.stdout.splitlines()
    shown = [line.partition("|")[2].strip() for line in lines if "progress-1" in line]
    assert any("epoch 1/1" in line for line in shown), first_run.stdout
    assert f"✓ published /models/{MODEL}/1" in shown, first_run.stdout
    box = [line for line in lines if "client-1" in line][-10:]
    text = "\n".join(box)
    assert f"http://localhost:{compose.rest_port}/v1/models/{MODEL} " in text
    assert f"gRPC    localhost:{compose.grpc_port} " in text
    assert "embedded: this project's server" in text


def test_a_second_time_nothing_is_trained(stack):
    done = stack("--profile", "embedded", "up", "--exit-code-from", "client", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is published already, nothing to train" in done.stdout
    assert "epoch" not in done.stdout
    assert done.stdout.count("agrees") == 2
    stack("--profile", "embedded", "up", "--detach", "--wait", "--no-deps", SERVER)


def test_32_calls_in_flight_by_grpc_are_answered(stack):
    """The README's line, on the flags that the official image is started with."""
    flags = ["--grpc", "--port", str(stack.grpc_port), "--model", MODEL, "--concurrency", "32"]
    done = _run("-m", "client.load", *flags, "--duration", "3", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["errors"] == {}, found


def test_curl_on_the_host_gets_an_answer(stack):
    status = _curl(stack, f"/v1/models/{MODEL}")
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    image = np.zeros((1, 28, 28, 1)).tolist()
    answer = _curl(stack, f"/v1/models/{MODEL}:predict", json.dumps({"instances": image}))
    assert np.shape(answer["predictions"]) == (1, 10)


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_client_on_the_host_gets_answers(stack, api):
    port = stack.grpc_port if api == "grpc" else stack.rest_port
    flags = ["--port", str(port), "--model", MODEL, "--json"] + ["--grpc"] * (api == "grpc")
    done = _run("-m", "client.predict", *flags)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["count"] > 0


@pytest.mark.parametrize("service", [SERVER, "client", "exporter"])
def test_container_has_no_privileges(engine, stack, service):
    """What the kernel says of a process in a container set up as the service is."""
    look = (
        "import os, pathlib;"
        "status = dict(l.split(':', 1) for l in open('/proc/self/status').read().splitlines());"
        "print(os.getuid(), int(status['CapEff'], 16), int(status['CapBnd'], 16),"
        "status['NoNewPrivs'].strip());"
        "pathlib.Path('/app/written').touch()"
    )
    done = stack(
        *("--profile", "embedded", "run", "--rm", "--no-deps", "--entrypoint", "python"),
        *(service, "-c", look),
        check=False,
    )
    uid, effective, bounding, no_new_privileges = done.stdout.split()
    assert int(uid) > 0
    assert (effective, bounding, no_new_privileges) == ("0", "0", "1")
    assert "Read-only file system" in done.stderr


def test_new_version_takes_over_without_a_failed_request(stack):
    with Client("localhost", stack.rest_port) as client:
        before = client.served_version(MODEL)
        asking = _Asking(client)
        chosen = {"NUM_EPOCHS": "0", "RETRAIN": "1", "KEEP_VERSIONS": "1"}
        done = stack("run", "--rm", "--no-deps", "exporter", **chosen)
        client.wait_until_ready(MODEL, version=before + 1)
        asking.until_version(before + 1)
    assert asking.failures == []
    assert set(asking.versions) == {before, before + 1}
    assert f"removed /models/{MODEL}/{before}" in done.stderr
    look = ("run", "--rm", "--no-deps", "--entrypoint", "ls", "exporter", f"/models/{MODEL}")
    assert stack(*look).stdout.split() == [str(before + 1)]


@pytest.mark.parametrize("seconds", [30, pytest.param(600, marks=pytest.mark.long)])
def test_killed_server_comes_back_and_no_answer_is_wrong(stack, seconds):
    flags = ["--project", stack.project, "--model", MODEL, "--port", str(stack.rest_port)]
    # Recovery within 5 s is what a quiet machine shows; here only that there is one.
    done = _run("scripts/chaos.py", *flags, "--duration", str(seconds), "--within", "12", "--json")
    found = json.loads(done.stdout or "{}")
    assert done.returncode == 0, f"{found} {done.stderr}"
    assert found["kills"] >= 1
    assert found["wrong"] == found["failed"] == 0


class _Asking:
    """Asks all the time, in a thread, until a version has answered."""

    def __init__(self, client):
        self.failures = []
        self.versions = []
        self._client = client
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self):
        image = np.zeros((1, 28, 28, 1), np.float32)
        while not self._end.is_set():
            try:
                self.versions.append(self._client.predict(MODEL, image).version)
            except ServingError as error:
                self.failures.append(str(error))

    def until_version(self, version):
        for _ in range(600):
            if self.versions and self.versions[-1] == version:
                break
            self._end.wait(0.1)
        self._end.set()
        self._thread.join()


def _curl(stack, path, data=None):
    url = f"http://127.0.0.1:{stack.rest_port}{path}"
    request = urllib.request.Request(url, data=data.encode() if data else None)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def _run(*arguments):
    command = [sys.executable, *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PATH": str(Path(sys.executable).parent)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
