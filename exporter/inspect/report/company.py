"""How much a row's answer depends on what is in the batch beside it: alone, and in company."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from artifact.comparison import Difference, difference
from artifact.golden import GoldenCase
from artifact.manifest import Manifest
from exporter.inspect.report.runtimes import Arrays, NotOffered, Refused, Runtime

_ROWS = 4  # of each case are run alone: the first ones and the last ones


@dataclass(frozen=True)
class Company:
    """The same rows of a signature alone and in batches, in one runtime.

    Attributes:
        runtime: Its name.
        signature: Its name.
        output: Its name.
        batch_size: The size at which the difference is largest.
        max_abs_diff: The largest absolute difference between a row alone and in a batch.
        agrees: Whether all differences are within the manifest's tolerance.
        is_proven: Whether the exporter has proven that rows don't depend on one another.
    """

    runtime: str
    signature: str
    output: str
    batch_size: int
    max_abs_diff: float
    agrees: bool
    is_proven: bool


def compare_rows(
    runtime: Runtime, manifest: Manifest, cases: Mapping[tuple[str, str], GoldenCase]
) -> Iterator[Company]:
    """Yields what a runtime makes of rows in company, for each output that has rows.

    Signatures are left out that take no batches of different sizes, or that this runtime doesn't
    run.
    """
    for signature, entry in manifest.signatures.items():
        if not entry.batched_inputs or any(
            entry.inputs[name].shape[0] is not None for name in entry.batched_inputs
        ):
            continue
        found: dict[str, list[Company]] = {}
        for (name, _), case in cases.items():
            size = entry.batch_size(case.inputs) or 1
            if name != signature or size == 1:
                continue
            try:
                differences = list(_differences(runtime, manifest, signature, case.inputs, size))
            except (Refused, NotOffered):
                continue
            for output, different in differences:
                found.setdefault(output, []).append(
                    Company(runtime.name, signature, output, size, *different, bool(entry.row_wise))
                )
        for rows in found.values():
            largest = max(rows, key=lambda row: row.max_abs_diff)
            yield replace(largest, agrees=all(row.agrees for row in rows))


def _differences(
    runtime: Runtime, manifest: Manifest, signature: str, batch: Arrays, size: int
) -> Iterator[tuple[str, Difference]]:
    """Each output with the difference between a row of a batch and the same row alone."""
    whole = runtime.run(signature, batch)
    for row in _rows(size):
        alone = runtime.run(
            signature, _only(batch, manifest.signatures[signature].batched_inputs, row)
        )
        for name, array in alone.items():
            if whole[name].shape[:1] == (size,) and array.shape[:1] == (1,):
                yield name, difference(whole[name][row : row + 1], array, manifest.tolerance)


def _rows(size: int) -> list[int]:
    return sorted({*range(min(_ROWS, size)), *range(max(size - _ROWS, 0), size)})


def _only(batch: Arrays, batched: tuple[str, ...], row: int) -> dict[str, np.ndarray]:
    """One row of a batch; what has no rows stays whole."""
    return {
        name: array[row : row + 1] if name in batched else array for name, array in batch.items()
    }
