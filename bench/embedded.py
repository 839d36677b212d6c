"""The embedded server as a process of its own, on free ports."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from client.errors import Unavailable

_PORTS = {
    "grpc": re.compile(r"Running gRPC ModelServer at \S*:(\d+)"),
    "rest": re.compile(r"Exporting HTTP/REST API at\S*:(\d+)"),
}
_LOG_LINES = 15  # of a server that failed


@dataclass(frozen=True)
class Embedded:
    """A running server.

    Attributes:
        pid: Of its process.
        ports: By API, `"rest"` and `"grpc"`.
        command: How it was started.
    """

    pid: int
    ports: Mapping[str, int]
    command: Sequence[str]


@contextmanager
def serve(
    models: Mapping[str, Path], *flags: str, start_seconds: float = 120.0
) -> Iterator[Embedded]:
    """Runs `python -m server` until the block ends; its ports are open and its models loaded.

    Args:
        models: Base path by model name.
        flags: More of the server's flags.
        start_seconds: How long it may take to load them.

    Raises:
        Unavailable: it ended, or didn't open its ports in time; the end of its log is in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder) / "models.config", Path(folder) / "server.log"
        config.write_text(_config(models))
        command = [sys.executable, "-m", "server", "--port=-1", "--rest_api_port=-1"]
        command += [f"--model_config_file={config}", *flags]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield Embedded(process.pid, _wait_for_ports(process, log, start_seconds), command)
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_ports(process: subprocess.Popen, log: Path, seconds: float) -> dict[str, int]:
    end = time.monotonic() + seconds
    while True:
        text = log.read_text(errors="replace")
        found = {api: pattern.search(text) for api, pattern in _PORTS.items()}
        ports = {api: int(match[1]) for api, match in found.items() if match}
        if len(ports) == len(_PORTS):
            return ports
        if process.poll() is not None or time.monotonic() > end:
            what = "ended" if process.poll() is not None else f"isn't ready after {seconds:g} s"
            tail = "\n".join(text.splitlines()[-_LOG_LINES:])
            raise Unavailable(f"the server {what}; the end of its log:\n{tail}")
        time.sleep(0.05)


def _config(models: Mapping[str, Path]) -> str:
    entries = "".join(
        f'  config {{ name: "{name}" base_path: "{path.resolve()}" '
        'model_platform: "tensorflow" }\n'
        for name, path in models.items()
    )
    return f"model_config_list {{\n{entries}}}\n"
