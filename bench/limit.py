"""The limit: in-process JAX, in a process of its own, and the answers that are right."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from artifact import golden
from artifact.manifest import Manifest
from bench.cases import Case
from bench.process import ROOT
from bench.protocols import SIGNATURE
from client.errors import Unavailable

CALLERS = (1, 2)


class Limit:
    """A version's program, called directly.

    Attributes:
        input_name: Of the model's one input.
        rows: What is sent, the leading axis the rows.
        expected: JAX's first output for them.
    """

    def __init__(self, stack: ExitStack, version_dir: Path, case: Case) -> None:
        """Starts the process, which ends when the stack is closed.

        Raises:
            Unavailable: it can't run the program.
            ValueError: the model has several inputs.
        """
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.input_name, self.rows = _rows(version_dir, case)
        np.savez(folder / "rows.npz", **{self.input_name: self.rows})  # type: ignore[arg-type]
        command = [sys.executable, "-m", "bench.limit_process", str(version_dir.resolve())]
        self._process = subprocess.Popen(
            [*command, str(folder / "rows.npz")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        stack.callback(self._close)
        self._ask(task="answer", file=str(folder / "expected.npy"))
        self.expected: np.ndarray = np.load(folder / "expected.npy")

    def measure(self, batch_size: int, callers: int, seconds: float) -> dict[str, float]:
        """Returns examples per second, CPU time an example, and latencies in milliseconds."""
        return self._ask(task="measure", batch_size=batch_size, callers=callers, seconds=seconds)

    def _ask(self, **asked: Any) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            found: dict[str, float] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise Unavailable("the process that calls JAX directly has ended") from None
        return found

    def _close(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(30)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()


def _rows(version_dir: Path, case: Case) -> tuple[str, np.ndarray]:
    if case.draw is None:
        found = golden.read(version_dir)[SIGNATURE, golden.EXAMPLES]
        ((name, rows),) = found.inputs.items()
        return name, rows
    (name,) = Manifest.read(version_dir).signatures[SIGNATURE].inputs
    return name, case.draw()
