"""From the command to the first answer, first requests at each batch size, and memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil

from artifact import golden
from bench.embedded import Embedded, serve
from client.grpc import predict_request
from client.model_spec import ModelSpec
from wire.services import PREDICTION_METHODS

_REPEATS = 3
_STEADY = 300  # requests of each size; of fewer, the p99 would be the longest
_MORE_MODELS = 4
_START_S = 300.0
GUESS_S = 50.0  # a small model in the long form, a large one in the short form


def measure(version_dir: Path, *, first_requests: bool) -> dict[str, Any]:
    """Returns seconds to the first answer, cold and warm, and memory.

    Args:
        version_dir: What is served.
        first_requests: Add the first request's milliseconds and the steady p99 by batch size, and
            the memory of a further model.
    """
    with tempfile.TemporaryDirectory() as folder:
        cold = _seconds_to_answer(version_dir, Path(folder))
        repeats = _REPEATS if first_requests else 1
        warm = [_seconds_to_answer(version_dir, Path(folder)) for _ in range(repeats)]
        one = _idle_memory({version_dir.parent.name: version_dir.parent}, Path(folder))
        found: dict[str, Any] = {
            "cold_start_s": cold,
            "warm_start_s": statistics.median(warm),
            "memory_mib": one,
        }
        if first_requests:
            names = [version_dir.parent.name, *(f"copy_{n}" for n in range(_MORE_MODELS))]
            more = _idle_memory(dict.fromkeys(names, version_dir.parent), Path(folder))
            found["memory_per_further_model_mib"] = (more - one) / _MORE_MODELS
            found["first_requests"] = _first_requests(version_dir, Path(folder))
    return found


def _flags(cache: Path) -> list[str]:
    return [f"--compilation_cache_dir={cache}"]


def _seconds_to_answer(version_dir: Path, cache: Path) -> float:
    start = time.perf_counter()
    models = {version_dir.parent.name: version_dir.parent}
    with serve(models, *_flags(cache), start_seconds=_START_S) as running:
        with _connected(running) as predict:
            predict(_request(version_dir, 1))
        return time.perf_counter() - start


def _first_requests(version_dir: Path, cache: Path) -> dict[str, dict[str, float]]:
    """Returns, by batch size, the first request's milliseconds and the steady p99."""
    found = {}
    with (
        serve({version_dir.parent.name: version_dir.parent}, *_flags(cache)) as running,
        _connected(running) as predict,
    ):
        for batch_size in (1, 2, 4, 8, 16, 32, 64, 128):
            request = _request(version_dir, batch_size)
            times = []
            for _ in range(_STEADY):
                start = time.perf_counter()
                predict(request)
                times.append((time.perf_counter() - start) * 1e3)
            p99 = statistics.quantiles(times[1:], n=100)[98]
            found[str(batch_size)] = {"first_ms": times[0], "steady_p99_ms": p99}
    return found


@contextmanager
def _connected(running: Embedded) -> Iterator[Callable[[bytes], Any]]:
    """Opens a channel, and yields what sends it a request, and nothing else."""
    with grpc.insecure_channel(f"127.0.0.1:{running.ports['grpc']}") as channel:
        grpc.channel_ready_future(channel).result(_START_S)
        yield channel.unary_unary(PREDICTION_METHODS["Predict"].path, None, None)


def _request(version_dir: Path, batch_size: int) -> bytes:
    case = max(golden.read(version_dir).values(), key=lambda c: len(next(iter(c.inputs.values()))))
    inputs = {name: array[:batch_size] for name, array in case.inputs.items()}
    spec = ModelSpec(version_dir.parent.name)
    message: bytes = predict_request(spec, inputs, "serving_default").SerializeToString()
    return message


def _idle_memory(models: Mapping[str, Path], cache: Path) -> float:
    with serve(models, *_flags(cache), start_seconds=_START_S) as running:
        process = psutil.Process(running.pid)
        return (
            sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])
            / 2**20
        )
