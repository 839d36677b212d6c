"""The machine that figures were measured on, and who else used it meanwhile."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.process import ROOT, cpu_seconds

_PACKAGES = ("jax", "jaxlib", "tensorflow", "numpy", "protobuf", "uvloop", "pysimdjson")
_CODE = ("artifact", "bench", "client", "exporter", "server", "wire", ":!bench/results")


def describe(*, with_date: bool = True) -> dict[str, str]:
    """Returns the machine and the versions of what runs on it."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        **({"date": time.strftime("%Y-%m-%d")} if with_date else {}),
        "commit": commit(),
    }
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Returns the commit that is checked out, with `+` where files of the code differ from it."""
    try:
        found = _git("rev-parse", "--short=12", "HEAD")
        return found + ("+" if _git("status", "--porcelain", "--", *_CODE) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


@dataclass(frozen=True)
class Used:
    """CPU time between two looks, as shares of all cores: ours (children too) and others'."""

    ours: float
    foreign: float


class CpuWatch:
    """Tells how much of the CPU went to processes that aren't part of the measurement."""

    def __init__(self) -> None:
        self._start = (time.perf_counter(), _busy(), cpu_seconds(os.getpid()))

    def used(self) -> Used:
        """Returns the shares since the watch was made."""
        wall, busy, ours = (
            now - then
            for now, then in zip(
                (time.perf_counter(), _busy(), cpu_seconds(os.getpid())), self._start, strict=True
            )
        )
        all_cores = wall * (os.cpu_count() or 1)
        return Used(ours / all_cores, max(busy - ours, 0.0) / all_cores)


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + getattr(times, "irq", 0.0))


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
