"""Files for TensorFlow Lite, each compared with JAX before it appears."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artifact.comparison import difference
from artifact.manifest import Tolerance
from exporter.errors import CheckFailed, UserError
from exporter.formats.tflite.conversion import KINDS, at_batch_size, convert, runner
from exporter.model import Model
from exporter.model.entry import Entry, default_entry
from exporter.storage.staging import staged_file
from exporter.verify.answers import answer
from exporter.verify.inputs import Arrays, draw

# Batches to compare at, and others that show a quantised model what numbers to expect: too few of
# those cut off the rarer large ones.
_COMPARED = 16
_SHOWN = 128


@dataclass(frozen=True)
class TfliteFile:
    """A file that was written.

    Attributes:
        kind: One of `KINDS`.
        path: The file.
        num_bytes: Its size.
        max_abs_err: The largest difference of an output from JAX's.
        relative_err: The same, relative to the largest number of that output.
    """

    kind: str
    path: Path
    num_bytes: int
    max_abs_err: float
    relative_err: float


def write(
    model: Model,
    directory: Path,
    *,
    kinds: Sequence[str] = KINDS,
    batch_size: int = 1,
    overwrite: bool = False,
) -> Iterator[TfliteFile]:
    """Writes `<directory>/<model>_<kind>.tflite` for each kind.

    They are compared at the model's examples, or at random inputs where it has none.

    Raises:
        UserError: the model can't be written, a kind is unknown, or a file exists.
        CheckFailed: float32 differs from JAX by more than 1e-5.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UserError(f"kind {', '.join(unknown)} is none of {', '.join(KINDS)}")
    paths = {kind: directory / f"{model.name}_{kind}.tflite" for kind in kinds}
    existing = [str(path) for path in paths.values() if path.exists()]
    if existing and not overwrite:
        raise UserError(f"{existing[0]} exists; choose another --out or --overwrite")
    entry = default_entry(model)
    closed = at_batch_size(entry, batch_size)
    batches = _batches(entry, closed, batch_size)
    compared = [(inputs, answer(entry, inputs)) for inputs in batches[:_COMPARED]]
    for kind, path in paths.items():
        content = convert(closed, kind=kind, samples=batches[_COMPARED:])
        error, relative = _compare(f"{path}", kind, content, compared)
        with staged_file(path) as staged:
            staged.write_bytes(content)
        yield TfliteFile(kind, path, len(content), error, relative)


def _compare(
    label: str, kind: str, content: bytes, compared: Sequence[tuple[Arrays, Arrays]]
) -> tuple[float, float]:
    """The largest differences, absolute and relative to the output's largest number."""
    run = runner(content)
    error = relative = 0.0
    for inputs, expected in compared:
        outputs = run(inputs)
        for name, array in expected.items():
            found = difference(outputs[name], array, Tolerance())
            if kind == "float32" and not found.agrees:
                raise CheckFailed(
                    f"{label}: {name} differs from JAX by {found.max_abs_err:.1e} "
                    "(rtol 1e-05, atol 1e-05); it was not written"
                )
            error = max(error, found.max_abs_err)
            largest = float(np.abs(array.astype(np.float64)).max(initial=0.0))
            relative = max(relative, found.max_abs_err / (largest or 1.0))
    return error, relative


def _batches(entry: Entry, closed: Entry, batch_size: int) -> list[Arrays]:
    """Inputs by name: real ones where there are enough of them, else random ones."""
    wanted = _COMPARED + _SHOWN
    real = entry.real_inputs() or {}
    rows = min((len(array) for array in real.values() if array.ndim), default=0)
    fits = bool(real) and all(
        array.shape[1:] == closed.specs[name].shape[1:] for name, array in real.items()
    )
    if fits and rows >= wanted * batch_size:
        return [
            {
                name: np.asarray(array[start : start + batch_size], closed.specs[name].dtype)
                for name, array in real.items()
            }
            for start in range(0, wanted * batch_size, batch_size)
        ]
    return [draw(closed, batch_size, seed) for seed in range(wanted)]
