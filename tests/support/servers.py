"""The embedded server as a process, for tests that drive it from outside."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc

ROOT = Path(__file__).parents[2]
_SERVER = (sys.executable, "-m", "server")
_GRPC = re.compile(r"Running gRPC ModelServer at [^ ]*:(\d+) \.\.\.")
_REST = re.compile(r"Exporting HTTP/REST API at:[^ ]*:(\d+) \.\.\.")
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class ServerProcess:
    """`python -m server` on ephemeral ports, or another command; the log is kept in a file."""

    def __init__(self, log, *flags, wait_s=120, env=None, command=_SERVER, cwd=ROOT):
        self.log_path = Path(log)
        with self.log_path.open("wb") as file:
            self.process = subprocess.Popen(
                [*command, "--port=-1", "--rest_api_port=-1", *flags],
                cwd=cwd,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "JAX_PLATFORMS": "cpu", **(env or {})},
            )
        self.grpc_port = self.rest_port = 0
        if wait_s:
            self.wait_until_open(wait_s)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_until_open(self, wait_s=120):
        """Waits for both ports, which open after the initial load."""
        deadline = time.monotonic() + wait_s
        while not ((grpc_port := _GRPC.search(self.log)) and (rest := _REST.search(self.log))):
            assert self.process.poll() is None, f"the server ended:\n{self.log}"
            assert time.monotonic() < deadline, f"no ports after {wait_s} s:\n{self.log}"
            time.sleep(0.05)
        self.grpc_port, self.rest_port = int(grpc_port[1]), int(rest[1])

    def rest(self, path, body=None, *, headers=None, method=None):
        """Returns status, headers and body of a REST request; bodies that aren't bytes as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rest_port}{path}", body, headers or {}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def channel(self):
        """Returns a gRPC channel without limits."""
        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", options=_UNLIMITED)

    def states(self, model):
        """Returns the states of a model's versions by number; empty where it is unknown."""
        status, _, body = self.rest(f"/v1/models/{model}")
        if status != 200:
            return {}
        entries = json.loads(body)["model_version_status"]
        return {int(entry["version"]): entry["state"] for entry in entries}

    def wait_for(self, model, version, state="AVAILABLE", wait_s=60):
        """Waits until a version is in a state."""
        deadline = time.monotonic() + wait_s
        while self.states(model).get(version) != state:
            assert self.process.poll() is None, f"the server ended:\n{self.log}"
            assert time.monotonic() < deadline, f"{self.states(model)}\n{self.log}"
            time.sleep(0.05)

    def stop(self, wait_s=60):
        """Ends the server with SIGTERM and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(wait_s)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
