"""What a report says, measured now: differences and latencies in each runtime."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artifact import golden
from artifact.comparison import difference
from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import Manifest
from exporter.inspect.report.company import Company, compare_rows
from exporter.inspect.report.runtimes import NotOffered, Refused, Runtime
from exporter.model import SERVING_DEFAULT
from wire import dtypes

_SECONDS = 0.3  # that a latency is measured for
_MAX_CALLS = 200
_MAX_CLASSES = 1000


@dataclass(frozen=True)
class Cell:
    """One case of a signature in one runtime.

    Attributes:
        runtime: Its name.
        signature: Its name.
        batch_size: Of the case.
        max_abs_err: Largest difference of an output from JAX's; None where it wasn't run.
        agrees: Whether all outputs are within the manifest's tolerance.
        refusal: Why the runtime doesn't run it; else empty.
        milliseconds: Median time of a call; None where it wasn't run.
        is_offered: Whether the runtime should run it.
    """

    runtime: str
    signature: str
    batch_size: int
    max_abs_err: float | None
    agrees: bool
    refusal: str
    milliseconds: float | None
    is_offered: bool = True


@dataclass(frozen=True)
class Report:
    """All of it.

    Attributes:
        company: How much rows differ with what is in the batch beside them.
        accuracy: Share of the version's own labelled examples that it has right, 0 to 1.
        files: Bytes by path, relative to the version's directory.
        examples: The version's real inputs, where it has some.
    """

    path: Path
    manifest: Manifest
    cells: tuple[Cell, ...]
    accuracy: float | None
    files: dict[str, int]
    examples: GoldenCase | None
    company: tuple[Company, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all signatures were compared wherever they should run, and all of it agreed.

        A refusal is no agreement. Rows may differ by their company where nobody has promised that
        they don't.
        """
        offered = [cell for cell in self.cells if cell.is_offered]
        compared = {cell.signature for cell in offered}
        return (
            bool(offered)
            and compared == self.manifest.signatures.keys()
            and all(cell.agrees for cell in offered)
            and all(row.agrees or not row.is_proven for row in self.company)
        )

    @property
    def verdict(self) -> str:
        """The result in words."""
        if self.ok:
            return "agrees with JAX"
        is_other = any(cell.max_abs_err is not None and not cell.agrees for cell in self.cells)
        if is_other:
            return "differs from JAX"
        return "is not compared with JAX everywhere, or differs by batch size"

    @property
    def max_abs_err(self) -> float:
        """The largest difference from JAX in any runtime."""
        errors = [cell.max_abs_err for cell in self.cells if cell.max_abs_err is not None]
        return max(errors, default=math.nan)

    @property
    def num_parameters(self) -> int:
        """How many numbers the parameters are."""
        return sum(math.prod(p.shape) for p in self.manifest.parameters)

    @property
    def runtimes(self) -> list[str]:
        """The names, in the order in which they were measured."""
        return list(dict.fromkeys(cell.runtime for cell in self.cells))

    @property
    def batch_sizes(self) -> list[int]:
        """All of the cases', ascending."""
        return sorted({cell.batch_size for cell in self.cells})

    def find(self, runtime: str, signature: str) -> list[Cell]:
        """Returns the cells of a runtime and a signature, by ascending batch size."""
        cells = [c for c in self.cells if (c.runtime, c.signature) == (runtime, signature)]
        return sorted(cells, key=lambda cell: cell.batch_size)


def collect(version_dir: Path, runtimes: Iterable[Runtime]) -> Report:
    """Runs a version's golden examples in some runtimes.

    Raises:
        artifact.manifest.ManifestError, OSError: it is no whole version.
    """
    manifest = Manifest.read(version_dir)
    cases = golden.read(version_dir)
    runtimes = list(runtimes)
    cells = [
        _measure(runtime, manifest, signature, case)
        for runtime in runtimes
        for (signature, name), case in cases.items()
        if name != EXAMPLES
    ]
    examples = cases.get((SERVING_DEFAULT, EXAMPLES))
    files = {
        path.relative_to(version_dir).as_posix(): path.stat().st_size
        for path in sorted(version_dir.rglob("*"))
        if path.is_file()
    }
    company = [row for runtime in runtimes for row in compare_rows(runtime, manifest, cases)]
    return Report(
        version_dir,
        manifest,
        tuple(cells),
        _accuracy(manifest, examples),
        files,
        examples,
        tuple(company),
    )


def parameter_bytes(manifest: Manifest) -> dict[str, int]:
    """Returns the bytes of each parameter, by its path."""
    return {
        p.path: math.prod(p.shape) * dtypes.numpy_dtype(p.dtype).itemsize
        for p in manifest.parameters
    }


def scores_of(manifest: Manifest, examples: GoldenCase | None) -> np.ndarray | None:
    """Returns the examples' class scores, [N, classes], where they are labelled and have some."""
    if examples is None or examples.labels is None:
        return None
    end = examples.labels.max(initial=0) + 1
    tables = [array for array in examples.outputs.values() if array.ndim == 2]
    fitting = [table for table in tables if end <= table.shape[1] <= _MAX_CLASSES]
    return fitting[0] if len(fitting) == 1 else None


def _measure(runtime: Runtime, manifest: Manifest, signature: str, case: GoldenCase) -> Cell:
    size = manifest.signatures[signature].batch_size(case.inputs) or 1
    try:
        answers = runtime.run(signature, case.inputs)
    except (Refused, NotOffered) as refusal:
        is_offered = isinstance(refusal, Refused)
        return Cell(runtime.name, signature, size, None, False, str(refusal), None, is_offered)
    found = [
        difference(answers[name], expected, manifest.tolerance_of(signature, name))
        for name, expected in case.outputs.items()
    ]
    return Cell(
        runtime.name,
        signature,
        size,
        max((f.max_abs_err for f in found), default=0.0),
        all(f.agrees for f in found),
        "",
        _milliseconds(runtime, signature, case),
    )


def _milliseconds(runtime: Runtime, signature: str, case: GoldenCase) -> float:
    seconds: list[float] = []
    while sum(seconds) < _SECONDS and len(seconds) < _MAX_CALLS:
        start = time.perf_counter()
        runtime.run(signature, case.inputs)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def _accuracy(manifest: Manifest, examples: GoldenCase | None) -> float | None:
    scores = scores_of(manifest, examples)
    if scores is None or examples is None or examples.labels is None:
        return None
    return float((scores.argmax(axis=1) == examples.labels).mean())
