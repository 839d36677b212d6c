"""A fresh process with TensorFlow, which knows only what was written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from exporter.errors import CheckFailed, UserError

# The last line of a traceback, and what TensorFlow puts around its messages.
_EXCEPTION = re.compile(r"[\w.]+(Error|Exception)\b")
_NOISE = re.compile(r"Detected at node|<stack traces unavailable>|\[\[|tf2xla conversion failed")
_LONGEST_REASON = 500


class Reloader:
    """A fresh process with TensorFlow, started ahead of its work."""

    def __init__(self, platforms: Sequence[str]) -> None:
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in `close`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "exporter.verify.reload"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            cwd=Path(__file__).parents[2],
            # Ctrl-C is for the exporter, which ends this process.
            start_new_session=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | _devices(platforms),
        )

    def start(self, version_dir: Path, cases: Sequence[Path]) -> None:
        """Lets it load a version and run the cases, while others work on."""
        request = {
            "version_dir": str(version_dir.absolute()),
            "cases": [str(path.absolute()) for path in cases],
        }
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # `finish` says why it ended
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def finish(self) -> list[dict[str, Any]]:
        """Returns how the outputs differ from the cases' ones.

        Raises:
            CheckFailed: the version can't be loaded or run.
        """
        answer, _ = self._process.communicate()
        if self._process.returncode != 0 or not answer:
            self._stderr.seek(0)
            raise CheckFailed(
                f"the SavedModel can't be loaded and run again: {_reason(self._stderr)}"
            )
        return json.loads(answer.splitlines()[-1])

    def close(self) -> None:
        """Ends the process."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
        self._stderr.close()


@contextlib.contextmanager
def reloader(platforms: Sequence[str]) -> Iterator[Reloader]:
    """Starts a `Reloader` for a model that runs on certain platforms, and ends it at the end."""
    process = Reloader(platforms)
    try:
        yield process
    finally:
        process.close()


def check_platforms(platforms: Sequence[str]) -> None:
    """Checks that what is exported for some platforms can be run here.

    Raises:
        UserError: it can't.
    """
    available = {device.platform for device in jax.devices()} | {"cpu"}
    if "gpu" in available:
        available |= {"cuda", "rocm"}
    if not available & set(platforms):
        raise UserError(
            f"an export for {', '.join(platforms)} can't be compared with JAX on this machine; "
            "add cpu to --platforms, or publish unchecked with --notest_savedmodel"
        )


def _reason(lines: Iterable[str]) -> str:
    """The message of the exception that ended a process, on one line."""
    lines = [line.strip() for line in lines if line.strip()]
    starts = [i for i, line in enumerate(lines) if _EXCEPTION.match(line)]
    said = [line for line in lines[starts[-1] if starts else -1 :] if not _NOISE.match(line)]
    return " ".join(said)[:_LONGEST_REASON] or "killed"


def _devices(platforms: Sequence[str]) -> dict[str, str]:
    """What is compared on the CPU shall leave GPUs alone: their float32 is less exact."""
    return {"CUDA_VISIBLE_DEVICES": ""} if "cpu" in platforms else {}
