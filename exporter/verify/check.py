"""Comparing what was written with JAX, in a process that knows only what was written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from artifact import golden, program
from artifact.comparison import difference
from artifact.golden import GoldenCase
from artifact.manifest import Manifest, Parity, Tolerance
from artifact.versions import EXTRA
from exporter.errors import CheckFailed, UserError

# The last line of a traceback, and what TensorFlow puts around its messages.
_EXCEPTION = re.compile(r"[\w.]+(Error|Exception)\b")
_NOISE = re.compile(r"Detected at node|<stack traces unavailable>|\[\[|tf2xla conversion failed")
_LONGEST_REASON = 500

Cases = Mapping[tuple[str, str], GoldenCase]


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


def check(
    version_dir: Path, label: str, process: Reloader, extra_cases: Cases
) -> tuple[Parity, ...]:
    """Compares a written version with JAX: its SavedModel and its `jax.export` programs.

    Args:
        version_dir: With manifest and golden examples.
        label: How messages call it, such as `mnist_flax/3`.
        process: Where TensorFlow loads it.
        extra_cases: Inputs and JAX's answers beside the golden examples.

    Returns:
        The differences found, one a signature, output, batch size and way into the model.

    Raises:
        CheckFailed: an output differs by more than the manifest's tolerance, or can't be computed.
    """
    manifest = Manifest.read(version_dir)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / EXTRA).mkdir()
        golden.write(directory, extra_cases)
        process.start(version_dir, [version_dir, directory])
        check_programs(version_dir, label, {**golden.read(version_dir), **extra_cases})
        differences = process.finish()
    worst: dict[tuple[str, str, int, str], float] = {}
    for found in differences:
        if not found.pop("agrees"):
            raise _differs(label, manifest.tolerance, **found)
        error = found.pop("max_abs_err")
        key = tuple(found.values())
        worst[key] = max(error, worst.get(key, 0.0))
    return tuple(Parity(*key, error) for key, error in worst.items())


def check_programs(version_dir: Path, label: str, cases: Cases) -> None:
    """Compares a version's `jax.export` programs with the cases.

    Raises:
        CheckFailed: an output differs by more than the manifest's tolerance.
    """
    manifest = Manifest.read(version_dir)
    device = jax.local_devices(backend="cpu")[0] if "cpu" in manifest.platforms else None
    programs = program.load_all(version_dir, device=device)
    for (signature, _), case in cases.items():
        if signature not in programs:
            continue  # TensorFlow ops around a program that other cases are for
        sizes = programs[signature].batch_sizes
        count = manifest.signatures[signature].batch_size(case.inputs) or 1
        if sizes is not None and count not in sizes:
            continue
        for name, array in programs[signature].run(case.inputs).items():
            error, agrees = difference(array, case.outputs[name], manifest.tolerance)
            if not agrees:
                through = "the program that JAX traced; a function whose answers differ under "
                through += "jax.jit has a side effect or a branch on Python values"
                raise _differs(label, manifest.tolerance, signature, name, count, through, error)


def _reason(lines: Iterable[str]) -> str:
    """The message of the exception that ended a process, on one line."""
    lines = [line.strip() for line in lines if line.strip()]
    starts = [i for i, line in enumerate(lines) if _EXCEPTION.match(line)]
    said = [line for line in lines[starts[-1] if starts else -1 :] if not _NOISE.match(line)]
    return " ".join(said)[:_LONGEST_REASON] or "killed"


def _devices(platforms: Sequence[str]) -> dict[str, str]:
    """What is compared on the CPU shall leave GPUs alone: their float32 is less exact."""
    return {"CUDA_VISIBLE_DEVICES": ""} if "cpu" in platforms else {}


def _differs(
    label: str,
    tolerance: Tolerance,
    signature: str,
    output: str,
    batch_size: int,
    through: str,
    max_abs_err: float,
) -> CheckFailed:
    return CheckFailed(
        f"{label}: {output} differs from JAX by {max_abs_err:.1e} at batch {batch_size} "
        f"(rtol {tolerance.rtol:.0e}, atol {tolerance.atol:.0e}), through {through}"
    )
