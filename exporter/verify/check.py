"""Comparing what was written with JAX's answers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import jax

from artifact import golden, program
from artifact.comparison import difference
from artifact.golden import GoldenCase
from artifact.manifest import Manifest, Parity, Tolerance
from artifact.versions import EXTRA
from exporter.errors import CheckFailed
from exporter.verify.process import Reloader

# By signature and name.
Cases = Mapping[tuple[str, str], GoldenCase]


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
