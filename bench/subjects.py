"""What is measured: servers that are started once, and stand still while others are measured."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.embedded import serve
from bench.peers import bundle, environment
from client.errors import Unavailable

ROOT = Path(__file__).parent.parent
START_S = 120.0
PEERS = ("kserve", "litserve")


@dataclass(frozen=True)
class Subject:
    """A running server.

    Attributes:
        name: In tables.
        ports: By API, `"rest"` and `"grpc"`.
        host: Where it listens.
        pid: Of its process, None for one that runs elsewhere.
    """

    name: str
    ports: Mapping[str, int]
    pid: int | None
    host: str = "127.0.0.1"

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Lets a server that stands still run for as long as the block."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.signal(signal.SIGSTOP)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the server's processes."""
        if self.pid is None:
            return
        parent = psutil.Process(self.pid)
        for process in [parent, *parent.children(recursive=True)]:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue


def embedded(stack: ExitStack, name: str, version_dir: Path, *flags: str) -> Subject:
    """Starts the embedded server."""
    model = version_dir.parent.name
    running = serve({model: version_dir.parent}, *flags)
    found = stack.enter_context(running)
    return _standing(stack, Subject(name, found.ports, found.pid))


def peer(stack: ExitStack, name: str, version_dir: Path, environments: Path) -> Subject:
    """Starts a peer from its own environment.

    Raises:
        Unavailable: it didn't open its port in time.
        subprocess.CalledProcessError: it can't be installed.
    """
    python = environment.python(name, environments)
    port = _free_port()
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    bundle.write(version_dir, Path(folder))
    command = [str(python), "-m", f"bench.peers.{name}_server"]
    command += [version_dir.parent.name, folder, str(port)]
    return _standing(stack, Subject(name, {"rest": port}, _spawn(stack, command, [port], name)))


def tensorflow_serving(stack: ExitStack, binary: Path, version_dir: Path) -> Subject:
    """Starts TensorFlow Serving's own binary, with XLA, which the export needs.

    Raises:
        Unavailable: it didn't open its ports in time.
    """
    grpc, rest = _free_port(), _free_port()
    command = [
        str(binary),
        f"--port={grpc}",
        f"--rest_api_port={rest}",
        f"--model_name={version_dir.parent.name}",
        f"--model_base_path={version_dir.parent.resolve()}",
        "--xla_cpu_compilation_enabled=true",
    ]
    pid = _spawn(stack, command, [grpc, rest], "TensorFlow Serving")
    return _standing(stack, Subject("TensorFlow Serving", {"grpc": grpc, "rest": rest}, pid))


def remote(url: str) -> Subject:
    """Returns a server that runs elsewhere: `grpc://host:port` or `http://host:port`.

    Raises:
        ValueError: it is neither.
    """
    parts = urllib.parse.urlsplit(url)
    api = {"grpc": "grpc", "http": "rest"}.get(parts.scheme)
    if api is None or parts.hostname is None or parts.port is None:
        raise ValueError(f"{url!r} is neither grpc://host:port nor http://host:port")
    return Subject(f"TensorFlow Serving ({parts.netloc})", {api: parts.port}, None, parts.hostname)


class Limit:
    """The version's program in a process of its own, called directly."""

    def __init__(self, stack: ExitStack, version_dir: Path) -> None:
        command = [sys.executable, "-m", "bench.limit", str(version_dir)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        stack.callback(self._close)

    def measure(self, batch_size: int, callers: int, seconds: float) -> dict[str, float]:
        """Returns examples per second and the latency's percentiles in milliseconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"batch_size": batch_size, "callers": callers, "seconds": seconds}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found

    def _close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _standing(stack: ExitStack, subject: Subject) -> Subject:
    subject.signal(signal.SIGSTOP)
    stack.callback(subject.signal, signal.SIGCONT)
    return subject


def _spawn(stack: ExitStack, command: list[str], ports: list[int], name: str) -> int:
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(_end, process)
    deadline = time.monotonic() + START_S
    while not all(map(_is_open, ports)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"{name} didn't start: {' '.join(command)}")
        time.sleep(0.1)
    return process.pid


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        if child.is_running():
            child.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
