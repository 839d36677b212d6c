"""What is measured: servers, how each is started, and what it is asked by."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import process
from bench.cases import CASES
from bench.embedded import serve
from bench.peers import bundle, environment
from bench.peers.peer import Peer
from server.engines.sizes import steps

EMBEDDED = "embedded"
TENSORFLOW_ENGINE = "embedded, tensorflow engine"
EXACT = "embedded, --exact"
_V2_TOO = ("grpc", "v2-grpc", "v2-binary", "v2-json", "rest")
_TFS_ALONE = ("grpc", "rest")
# Above all calls that are ever in flight: each of its gRPC calls holds a thread.
_MAX_THREADS = 1024
_ALLOWED_SIZES = steps(128).allowed


@dataclass(frozen=True)
class Subject:
    """A running server.

    Attributes:
        name: In tables.
        ports: By kind, `"http"` and `"grpc"`.
        pid: Of its process, None for one that runs elsewhere.
        host: Where it listens.
        raw_path: Where requests of raw bytes go.
        start_s: Seconds from the command until it said that it is ready; None: not known.
    """

    name: str
    ports: Mapping[str, int]
    pid: int | None
    host: str = "127.0.0.1"
    raw_path: str = ""
    start_s: float | None = None

    def awake(self) -> AbstractContextManager[None]:
        """Lets a server that stands still run for as long as the block."""
        return process.awake(self.pid)


@dataclass(frozen=True)
class Server:
    """A server that can be started for any model.

    Attributes:
        name: In tables.
        protocols: That it is asked by.
        version: Of what it is made of; empty: this checkout, or not known.
        start: Starts it until the stack is closed, with a version to serve. It raises Unavailable
            where it doesn't answer, CalledProcessError where it can't be installed.
    """

    name: str
    protocols: tuple[str, ...]
    start: Callable[[ExitStack, Path], Subject]
    version: str = ""


def embedded(name: str, *flags: str, protocols: tuple[str, ...] = _V2_TOO) -> Server:
    """Returns the embedded server with flags."""

    def start(stack: ExitStack, version_dir: Path) -> Subject:
        began = time.perf_counter()
        models = {version_dir.parent.name: version_dir.parent}
        running = serve(models, *flags, start_seconds=process.START_S)
        found = stack.enter_context(running)
        took = time.perf_counter() - began
        ports = {"grpc": found.ports["grpc"], "http": found.ports["rest"]}
        return Subject(name, ports, found.pid, start_s=took)

    return Server(name, protocols, start)


def tensorflow_engine() -> Server:
    """Returns the embedded server with TensorFlow's runtime in it."""
    flags = ("--engine=tensorflow", "--xla_cpu_compilation_enabled")
    return embedded(TENSORFLOW_ENGINE, *flags, protocols=_TFS_ALONE)


def tensorflow_serving(binary: Path, *, batching: bool) -> Server:
    """Returns TensorFlow Serving's own binary, with XLA, which the exports need.

    Source of the choices: tensorflow/serving, tensorflow_serving/batching/README.md ("Performance
    Tuning": as many batch threads as cores on a CPU, and a time-out of 0 to begin with); the sizes
    are those that the embedded server allows itself.

    Args:
        binary: `tensorflow_model_server`.
        batching: Whether it merges requests.
    """
    name = "TensorFlow Serving, batching" if batching else "TensorFlow Serving"

    def start(stack: ExitStack, version_dir: Path) -> Subject:
        grpc, http = process.free_port(), process.free_port()
        command = [
            str(binary),
            f"--port={grpc}",
            f"--rest_api_port={http}",
            f"--model_name={version_dir.parent.name}",
            f"--model_base_path={version_dir.parent.resolve()}",
            "--xla_cpu_compilation_enabled=true",
            f"--grpc_max_threads={_MAX_THREADS}",
        ]
        if batching:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "batching.config"
            file.write_text(_batching())
            command += ["--enable_batching=true", f"--batching_parameters_file={file}"]
        # It opens its ports when its models are loaded.
        pid, took = _run(
            stack, name, command, lambda: process.is_open(grpc) and process.is_open(http)
        )
        return Subject(name, {"grpc": grpc, "http": http}, pid, start_s=took)

    return Server(name, _TFS_ALONE, start, _version_of(binary))


def _batching() -> str:
    sizes = "".join(f"allowed_batch_sizes: {size}\n" for size in _ALLOWED_SIZES)
    return (
        f"max_batch_size {{ value: {_ALLOWED_SIZES[-1]} }}\n"
        "batch_timeout_micros { value: 0 }\n"
        "max_enqueued_batches { value: 1000 }\n"
        f"num_batch_threads {{ value: {os.cpu_count() or 1} }}\n{sizes}"
    )


def peer(found: Peer, environments: Path) -> Server:
    """Returns a server from the package index, in an environment of its own below a folder."""

    def start(stack: ExitStack, version_dir: Path) -> Subject:
        python = environment.python(found, environments)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = version_dir.parent.name
        # No larger than what JAX itself is measured at, so that no peer compiles for minutes.
        bundle.write(version_dir, folder, CASES[model].limit_sizes)
        ports = {kind: process.free_port() for kind in found.kinds}
        url = f"http://127.0.0.1:{ports['http']}{found.ready.format(model=model)}"
        command = found.command(model, folder, ports, python)
        pid, took = _run(stack, found.title, command, lambda: _says_ok(url), found.variables)
        return Subject(found.title, ports, pid, raw_path=found.raw_path, start_s=took)

    pins = dict(
        line.split("==") for line in found.constraints.read_text().splitlines() if "==" in line
    )
    version = ", ".join(
        f"{name} {pins[name]}" for name in (need.partition("[")[0] for need in found.needs)
    )
    return Server(found.title, found.protocols, start, version)


def remote(url: str) -> Server:
    """Returns a TensorFlow Serving that runs elsewhere: `grpc://host:port` or `http://host:port`.

    Raises:
        ValueError: it is neither.
    """
    parts = urllib.parse.urlsplit(url)
    known = {"grpc": ("grpc", "grpc"), "http": ("rest", "http")}
    if parts.scheme not in known or parts.hostname is None or parts.port is None:
        raise ValueError(f"{url!r} is neither grpc://host:port nor http://host:port")
    protocol, kind = known[parts.scheme]
    name = f"TensorFlow Serving at {parts.netloc}"
    subject = Subject(name, {kind: parts.port}, None, parts.hostname)
    return Server(name, (protocol,), lambda stack, version_dir: subject)


def _run(
    stack: ExitStack,
    name: str,
    command: list[str],
    is_ready: Callable[[], bool],
    variables: Mapping[str, str] | None = None,
) -> tuple[int, float]:
    """Starts a command until the stack is closed; returns its process and its start's seconds."""
    began = time.perf_counter()
    log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
    running = process.spawn(command, log, variables)
    stack.callback(process.end, running)
    process.wait_until(is_ready, running, name, log)
    return running.pid, time.perf_counter() - began


def _version_of(binary: Path) -> str:
    try:
        done = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # what is the matter, its start will say
    return next(iter(done.stdout.splitlines()), "")


def _says_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:  # urllib's errors are among them
        return False
