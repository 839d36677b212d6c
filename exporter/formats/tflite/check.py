"""Comparing a TensorFlow Lite file with JAX, in the LiteRT interpreter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from artifact.comparison import difference
from artifact.manifest import Tolerance
from exporter.errors import CheckFailed
from exporter.formats import quantised
from exporter.formats.quantised import BOUNDS
from exporter.formats.tflite.conversion import runner
from exporter.verify.cases import SignatureCases
from exporter.verify.compare import compare
from exporter.verify.edges import EXTREMES, kind_of
from exporter.verify.inputs import Arrays

FLOAT32 = "float32"


@dataclass(frozen=True)
class Compared:
    """What was found.

    Attributes:
        max_abs_err: The largest difference of an output from JAX's, at inputs of the usual size.
        relative_err: The same, relative to the largest number of that output.
        unlike_at_extremes: Outputs that aren't JAX's at the largest floats, infinities or NaN, of
            which the interpreter's kernels promise nothing.
    """

    max_abs_err: float
    relative_err: float
    unlike_at_extremes: tuple[str, ...]


def check(
    label: str, kind: str, content: bytes, cases: SignatureCases, bound: float | None = None
) -> Compared:
    """Compares a file with JAX at all cases; a quantised one at those of the usual size.

    Args:
        label: The file, for messages.
        kind: How large its numbers are.
        content: The file's.
        cases: With JAX's answers.
        bound: How far outputs of a quantised one may be from JAX's; see `BOUNDS`.

    Raises:
        CheckFailed: an output differs, or the interpreter can't run the file.
    """
    run = runner(content)
    pairs: list[tuple[Arrays, Arrays]] = []
    unlike: dict[str, None] = {}
    for name, case in cases.all.items():
        inputs = kind_of(name)
        if kind != FLOAT32 and inputs != "random":
            continue  # numbers that it was never shown
        actual = run(case.inputs)
        if inputs == "random":
            pairs.append((actual, case.outputs))
        if kind != FLOAT32:
            continue
        for found in compare(actual, case, cases.tolerances.__getitem__):
            if found.problem and inputs == EXTREMES:
                unlike[found.output] = None
            elif found.problem:
                raise CheckFailed(
                    f"{label}: {found.output} {found.problem} at {inputs} inputs; it was "
                    "not written"
                )
    allowed = np.inf if kind == FLOAT32 else bound or BOUNDS[kind]
    relative = quantised.check(f"{label}: %s", kind, pairs, allowed)
    error = max(
        difference(actual[name], array, Tolerance()).max_abs_err
        for actual, expected in pairs
        for name, array in expected.items()
    )
    return Compared(error, relative, tuple(unlike))
