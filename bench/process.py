"""Processes that are measured: started, awaited, put to sleep, looked at and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from client.errors import Unavailable

ROOT = Path(__file__).parent.parent
START_S = 600.0  # a large model compiles for long
_LOOK_S, _IDLE = 1.0, 0.05  # the share of a core that an idle server may use
_LOG_LINES = 15  # of a process that failed


def spawn(
    command: Sequence[str], log: Path, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Starts a command in the checkout's root, with its output in a file."""
    with log.open("wb") as stream:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(variables or {})},
        )


def wait_until(
    is_ready: Callable[[], bool],
    process: subprocess.Popen[bytes],
    name: str,
    log: Path,
    seconds: float = START_S,
) -> None:
    """Waits for a process that was started.

    Raises:
        Unavailable: it ended, or isn't ready in time; the end of its log is in it.
    """
    deadline = time.monotonic() + seconds
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            what = "ended" if process.poll() is not None else f"isn't ready after {seconds:g} s"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
            raise Unavailable(f"{name} {what}; the end of its log:\n{tail}")
        time.sleep(0.05)


def settle(pid: int | None, seconds: float) -> bool:
    """Waits until a process and its children are idle: what compiles behind its answers is done.

    Args:
        pid: The process; None: nothing is known of it.
        seconds: As long at most.

    Returns:
        Whether it is idle.
    """
    deadline = time.monotonic() + seconds
    while pid is not None and time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(_LOOK_S)
        if cpu_seconds(pid) - before <= _IDLE * _LOOK_S:
            return True
    return pid is None


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, and what it has started."""
    children = _tree(process.pid)[1:]
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(children, timeout=2)
    for child in left:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue


@contextmanager
def awake(pid: int | None) -> Iterator[None]:
    """Lets a process and its children run for as long as the block; None: it always does."""
    send(pid, signal.SIGCONT)
    try:
        yield
    finally:
        send(pid, signal.SIGSTOP)


def send(pid: int | None, number: signal.Signals) -> None:
    """Sends a signal to a process and its children; None: to nobody."""
    for process in _tree(pid):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def memory(pid: int) -> dict[str, float]:
    """Returns MiB of a process and its children.

    Returns:
        `peak_rss_mib`: the most that each held at any time, summed, pages that they share counted
        in each; `pss_mib`: what they hold now, shared pages counted once.
    """
    peak = pss = 0.0
    for process in _tree(pid):
        try:
            peak += _kilobytes(Path(f"/proc/{process.pid}/status"), "VmHWM")
            pss += _kilobytes(Path(f"/proc/{process.pid}/smaps_rollup"), "Pss")
        except OSError:  # it has ended
            continue
    return {"peak_rss_mib": peak / 1024, "pss_mib": pss / 1024}


def cpu_seconds(pid: int | None) -> float:
    """Returns the CPU time of a process and its children; 0 for one that runs elsewhere."""
    total = 0.0
    for process in _tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    """Tells whether somebody listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _tree(pid: int | None) -> list[psutil.Process]:
    if pid is None:
        return []
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kilobytes(path: Path, field: str) -> float:
    for line in path.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return float(line.split()[1])
    return 0.0
