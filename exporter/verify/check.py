"""Comparing what was written with JAX's answers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from artifact import golden, program
from artifact.golden import GoldenCase
from artifact.manifest import Manifest, Parity
from artifact.versions import EXTRA
from exporter.errors import CheckFailed
from exporter.verify import compare
from exporter.verify.edges import kind_of
from exporter.verify.process import Reloader
from exporter.verify.routes import CALL, PROGRAM, SIGNATURE, routes

# By signature and name.
Cases = Mapping[tuple[str, str], GoldenCase]

_ROUTES = {
    SIGNATURE: "the SavedModel's signature",
    CALL: "the SavedModel's __call__",
    PROGRAM: "the program that JAX traced; a function whose answers differ under jax.jit has a "
    "side effect or a branch on Python values",
}


def check(
    version_dir: Path, label: str, process: Reloader, extra_cases: Cases
) -> tuple[Parity, ...]:
    """Compares a written version with JAX: its SavedModel and its JAX programs.

    Args:
        version_dir: With manifest and golden examples.
        label: How messages call it, such as `mnist_flax/3`.
        process: Where TensorFlow loads it.
        extra_cases: Inputs and JAX's answers beside the golden examples.

    Returns:
        The differences found, one a signature, output, way into the model, kind of inputs and
        batch size: all that there are.

    Raises:
        CheckFailed: an output isn't JAX's, can't be computed, or was left out of the comparison.
    """
    manifest = Manifest.read(version_dir)
    cases = {**golden.read(version_dir), **extra_cases}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / EXTRA).mkdir()
        golden.write(directory, extra_cases)
        process.start(version_dir, [version_dir, directory])
        rows = list(_run_programs(version_dir, manifest, cases))
        _raise_problems(label, rows)
        rows += process.finish()
    _raise_problems(label, rows)
    worst: dict[tuple[str, str, int, str, str], float] = {}
    for row in rows:
        key = _key(row["signature"], row["output"], row["batch_size"], row["through"], row["case"])
        worst[key] = max(row["max_abs_err"], worst.get(key, 0.0))
    _check_complete(label, manifest, cases, worst)
    return tuple(
        Parity(signature, output, batch_size, through, error, inputs)
        for (signature, output, batch_size, through, inputs), error in worst.items()
    )


def _key(
    signature: str, output: str, batch_size: int | None, through: str, case: str
) -> tuple[str, str, int, str, str]:
    return signature, output, batch_size or 1, through, kind_of(case)


def _run_programs(version_dir: Path, manifest: Manifest, cases: Cases) -> Iterator[dict[str, Any]]:
    """Compares a version's JAX programs with the cases, in this process."""
    device = jax.local_devices(backend="cpu")[0] if "cpu" in manifest.platforms else None
    programs = program.load_all(version_dir, device=device)
    for (signature, name), case in cases.items():
        for route in routes(manifest, signature, case):
            if route.through != PROGRAM:
                continue
            answers = programs[signature].run(case.inputs)
            yield from compare.rows(manifest, signature, name, case, route, answers)


def _raise_problems(label: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["problem"]:
            raise CheckFailed(
                f"{label}: {row['output']} {row['problem']} at batch {row['batch_size'] or 1} of "
                f"{kind_of(row['case'])} inputs, through {_ROUTES[row['through']]}"
            )


def _check_complete(label: str, manifest: Manifest, cases: Cases, found: Any) -> None:
    """Checks that nothing was left out: a check that was not made is not one that passed."""
    wanted = {
        _key(signature, output, route.batch_size, route.through, name)
        for (signature, name), case in cases.items()
        for route in routes(manifest, signature, case)
        for output in case.outputs
    }
    for name, record in manifest.signatures.items():
        throughs = {key[3] for key in wanted if key[0] == name}
        of_program = set() if record.program is None else {PROGRAM}
        for through in ({SIGNATURE} | of_program) - throughs:
            raise CheckFailed(f"{label}: {name} was not compared with JAX through its {through}")
        compared = {key[1] for key in wanted if key[0] == name}
        for output in record.outputs.keys() - compared:
            raise CheckFailed(f"{label}: {name}: {output} was not compared with JAX")
        for file in () if record.program is None else record.program.files:
            sizes = {key[2] for key in wanted if key[0] == name and key[3] == PROGRAM}
            if file.batch_size is not None and file.batch_size not in sizes:
                raise CheckFailed(
                    f"{label}: {name} was not compared with JAX at batch {file.batch_size}"
                )
    for signature, output, batch_size, through, _ in sorted(wanted - found.keys()):
        raise CheckFailed(
            f"{label}: {signature}: {output} was not compared with JAX at batch {batch_size}, "
            f"through {_ROUTES[through]}"
        )
