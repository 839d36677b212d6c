"""The machine that figures were measured on, and who else used it meanwhile."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_PACKAGES = ("jax", "jaxlib", "tensorflow", "numpy", "protobuf", "uvloop", "pysimdjson")


def describe() -> dict[str, str]:
    """Returns the machine and the versions of what runs on it."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True)
class Used:
    """CPU time between two looks, as shares of all cores: ours (children too) and others'."""

    ours: float
    foreign: float


class CpuWatch:
    """Tells how much of the CPU went to processes that aren't part of the measurement."""

    def __init__(self) -> None:
        self._start = (time.perf_counter(), _busy(), cpu_seconds())

    def used(self) -> Used:
        """Returns the shares since the watch was made."""
        wall, busy, ours = (
            now - then
            for now, then in zip(
                (time.perf_counter(), _busy(), cpu_seconds()), self._start, strict=True
            )
        )
        all_cores = wall * (os.cpu_count() or 1)
        return Used(ours / all_cores, max(busy - ours, 0.0) / all_cores)


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + getattr(times, "irq", 0.0))


def cpu_seconds(pid: int | None = None) -> float:
    """Returns the CPU time of a process and its children; of this one's for None."""
    parent = psutil.Process(pid)
    total = 0.0
    for process in [parent, *parent.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
