"""The version's own program, jitted, called in a process that does nothing else.

It takes one line of JSON a task, so that it stays warm between the rounds:
`{"task": "measure", "batch_size": 16, "callers": 2, "seconds": 2}` or
`{"task": "answer", "file": "answers.npy"}`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

from artifact import program
from artifact.program import Program


def main(version_dir: Path, rows_file: Path) -> None:
    """Answers each line on standard input with a line of JSON."""
    loaded = program.load(version_dir)
    with np.load(rows_file) as file:
        ((name, rows),) = file.items()
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.pop("task") == "answer":
            np.save(asked["file"], _answers(loaded, name, rows))
            found: dict[str, float] = {}
        else:
            found = _measure(loaded, name, rows, **asked)
        print(json.dumps(found), flush=True)


def _answers(loaded: Program, name: str, rows: np.ndarray) -> np.ndarray:
    """The first output for all rows, 16 at a time: one program, and little memory."""
    found = []
    for start in range(0, len(rows), 16):
        batch = rows[start : start + 16]
        padded = np.resize(batch, (16, *rows.shape[1:]))
        found.append(next(iter(loaded.run({name: padded}).values()))[: len(batch)])
    return np.concatenate(found)


def _measure(
    loaded: Program, name: str, rows: np.ndarray, batch_size: int, callers: int, seconds: float
) -> dict[str, float]:
    inputs = {name: np.resize(rows, (batch_size, *rows.shape[1:]))}
    loaded.run(inputs)
    cpu, start = time.process_time(), time.perf_counter()
    end = start + seconds
    taken: list[list[float]] = [[] for _ in range(callers)]

    def call(mine: list[float]) -> None:
        before = time.perf_counter()
        while before < end or len(mine) < 2:
            loaded.run(inputs)
            now = time.perf_counter()
            mine.append(now - before)
            before = now

    threads = [threading.Thread(target=call, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    calls = [one for mine in taken for one in mine]
    return {
        "examples_per_s": len(calls) * batch_size / took,
        "cpu_us": (time.process_time() - cpu) / (len(calls) * batch_size) * 1e6,
        "p50_ms": float(np.percentile(calls, 50)) * 1e3,
        "p99_ms": float(np.percentile(calls, 99)) * 1e3,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
