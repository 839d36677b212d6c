"""Workers that take models from a queue; one that crashes or is stuck costs one cell."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from scripts.parity.case import Case
from scripts.parity.cell import TRACEBACK, Cell

_ROOT = Path(__file__).parents[2]


def run(
    cases: Sequence[Case],
    formats: Sequence[str],
    directory: Path,
    *,
    jobs: int,
    timeout_s: float,
    done: Callable[[Cell], None],
) -> None:
    """Tries models in formats, a few at once.

    Args:
        cases: The models.
        formats: Names in `cell.FORMATS`.
        directory: For what is published, and for the workers' logs.
        jobs: How many processes.
        timeout_s: What a cell may take.
        done: Gets each cell as it is found; from one thread at a time.
    """
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    # Those of one environment after the other: a worker has one.
    for case in sorted(cases, key=lambda case: sorted(case.environment.items())):
        waiting.put(case)
    lock = threading.Lock()

    def report(cell: Cell) -> None:
        with lock:
            done(cell)

    def take(index: int) -> None:
        worker: _Worker | None = None
        try:
            while True:
                try:
                    case = waiting.get_nowait()
                except queue.Empty:
                    return
                todo = list(formats)
                while todo:
                    if worker is None or not worker.fits(case):
                        if worker is not None:
                            worker.close()
                        worker = _Worker(case, directory / f"worker-{index}")
                    cells = worker.run(case, todo, timeout_s, report)
                    todo = todo[cells:]
                    if todo:  # it died at the first of them
                        worker.close()
                        report(Cell(case.name, todo.pop(0), TRACEBACK, worker.ended(timeout_s)))
                        worker = None
        finally:
            if worker is not None:
                worker.close()

    threads = [threading.Thread(target=take, args=(i,), daemon=True) for i in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class _Worker:
    """A process of `scripts.parity.worker`."""

    def __init__(self, case: Case, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._environment = dict(case.environment)
        self._log = directory / "log"
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scripts.parity.worker", str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=_ROOT,
                # A group of its own, to end it with all that it started.
                start_new_session=True,
                env=os.environ | self._environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )
        assert self._process.stdout
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    def fits(self, case: Case) -> bool:
        """Whether it is of a model's environment."""
        return self._environment == case.environment

    def run(
        self, case: Case, formats: Sequence[str], timeout_s: float, report: Callable[[Cell], None]
    ) -> int:
        """Tries formats in turn, and returns how many were done before it died or got stuck."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            job = {"model": case.name, "formats": list(formats)}
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        for count, _ in enumerate(formats):
            try:
                line = self._lines.get(timeout=timeout_s)
            except queue.Empty:
                return count
            if not line:
                return count
            report(Cell(**json.loads(line)))
        return len(formats)

    def ended(self, timeout_s: float) -> str:
        """Says how it ended, after `close`."""
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return f"no answer within {timeout_s:.0f} s"
        lines = self._log.read_text(errors="replace").strip().splitlines() or ["no message"]
        return f"the process ended with {code}: {lines[-1][:300]}"

    def close(self) -> None:
        """Ends it and what it started."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self, stdout: IO[str]) -> None:
        for line in stdout:
            self._lines.put(line)
        self._lines.put("")
