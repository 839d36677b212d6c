"""From the command to the first answer, first requests at each batch size, and memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from artifact import golden
from bench.embedded import serve
from client.client import Client

_REPEATS = 3
_STEADY = 60
_MORE_MODELS = 4


def measure(version_dir: Path) -> dict[str, Any]:
    """Returns seconds to the first answer, cold and warm, first requests in ms, and memory."""
    with tempfile.TemporaryDirectory() as folder:
        cold = _seconds_to_answer(version_dir, Path(folder))
        warm = [_seconds_to_answer(version_dir, Path(folder)) for _ in range(_REPEATS)]
        first = _first_requests(version_dir, Path(folder))
        one = _idle_memory({version_dir.parent.name: version_dir.parent}, Path(folder))
        names = [version_dir.parent.name, *(f"copy_{n}" for n in range(_MORE_MODELS))]
        more = _idle_memory(dict.fromkeys(names, version_dir.parent), Path(folder))
    return {
        "cold_start_s": cold,
        "warm_start_s": statistics.median(warm),
        "first_requests": first,
        "memory_mib": one,
        "memory_per_further_model_mib": (more - one) / _MORE_MODELS,
    }


def _flags(cache: Path) -> list[str]:
    return [f"--compilation_cache_dir={cache}"]


def _seconds_to_answer(version_dir: Path, cache: Path) -> float:
    start = time.perf_counter()
    with serve({version_dir.parent.name: version_dir.parent}, *_flags(cache)) as running:
        _ask(running.ports["grpc"], version_dir, 1, 1)
        return time.perf_counter() - start


def _first_requests(version_dir: Path, cache: Path) -> dict[str, dict[str, float]]:
    """Returns, by batch size, the first request's milliseconds and the steady p99."""
    found = {}
    with serve({version_dir.parent.name: version_dir.parent}, *_flags(cache)) as running:
        for batch_size in (1, 2, 4, 8, 16, 32, 64, 128):
            times = _ask(running.ports["grpc"], version_dir, batch_size, _STEADY)
            p99 = statistics.quantiles(times[1:], n=100)[98]
            found[str(batch_size)] = {"first_ms": times[0], "steady_p99_ms": p99}
    return found


def _ask(port: int, version_dir: Path, batch_size: int, times: int) -> list[float]:
    case = max(golden.read(version_dir).values(), key=lambda c: len(next(iter(c.inputs.values()))))
    inputs = {name: array[:batch_size] for name, array in case.inputs.items()}
    taken = []
    with Client("127.0.0.1", port, "grpc", timeout=60.0) as client:
        for _ in range(times):
            start = time.perf_counter()
            client.predict(version_dir.parent.name, inputs)
            taken.append((time.perf_counter() - start) * 1e3)
    return taken


def _idle_memory(models: Mapping[str, Path], cache: Path) -> float:
    with serve(models, *_flags(cache)) as running:
        process = psutil.Process(running.pid)
        return (
            sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])
            / 2**20
        )
