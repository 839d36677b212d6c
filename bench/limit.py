"""The limit: a version's own program, jitted, called in a process that does nothing else.

Runs as a process of its own that takes one line of JSON a measurement, so that it stays warm
between the rounds: `{"batch_size": 16, "callers": 2, "seconds": 2}`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

from artifact import program
from artifact.manifest import Manifest


def measure(version_dir: Path) -> None:
    """Answers each line on standard input with `{"examples_per_s", "p50_ms"}`."""
    loaded = program.load(version_dir)
    signature = Manifest.read(version_dir).signatures["serving_default"]
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_measure(loaded, signature, **asked)), flush=True)


def _measure(
    loaded: program.Program, signature: object, batch_size: int, callers: int, seconds: float
) -> dict[str, float]:
    inputs = {
        name: np.random.default_rng(0)
        .random((batch_size, *(size or 1 for size in tensor.shape[1:])))
        .astype(tensor.dtype)
        for name, tensor in signature.inputs.items()  # type: ignore[attr-defined]
    }
    loaded.run(inputs)
    cpu = time.process_time()
    end = time.perf_counter() + seconds
    taken: list[list[float]] = [[] for _ in range(callers)]

    def call(mine: list[float]) -> None:
        before = time.perf_counter()
        while before < end:
            loaded.run(inputs)
            now = time.perf_counter()
            mine.append(now - before)
            before = now

    threads = [threading.Thread(target=call, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls = [one for mine in taken for one in mine]
    return {
        "examples_per_s": len(calls) * batch_size / seconds,
        "cpu_us": (time.process_time() - cpu) / (len(calls) * batch_size) * 1e6,
        "p50_ms": float(np.percentile(calls, 50)) * 1e3,
        "p99_ms": float(np.percentile(calls, 99)) * 1e3,
    }


if __name__ == "__main__":
    measure(Path(sys.argv[1]))
