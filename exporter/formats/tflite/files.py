"""Files for TensorFlow Lite, each compared with JAX before it appears."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from artifact.golden import GoldenCase
from exporter.errors import UserError
from exporter.formats.tflite.check import check
from exporter.formats.tflite.conversion import KINDS, at_batch_size, convert
from exporter.model import Model
from exporter.model.entry import Entry, default_entry
from exporter.storage.staging import staged_file
from exporter.trace.trace import trace
from exporter.verify.answers import answer
from exporter.verify.cases import check_telling, collect
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
        unlike_at_extremes: Outputs that aren't JAX's at the largest floats, infinities or NaN.
    """

    kind: str
    path: Path
    num_bytes: int
    max_abs_err: float
    relative_err: float
    unlike_at_extremes: tuple[str, ...] = ()


def write(
    model: Model,
    directory: Path,
    *,
    kinds: Sequence[str] = KINDS,
    batch_size: int = 1,
    bound: float | None = None,
    overwrite: bool = False,
) -> Iterator[TfliteFile]:
    """Writes `<directory>/<model>_<kind>.tflite` for each kind.

    They are compared at random inputs, at the model's examples and at the ends of dtypes.

    Args:
        model: What to write.
        directory: Where to.
        kinds: Of `KINDS`.
        batch_size: The only one that the files take.
        bound: How far outputs of quantised kinds may be from JAX's, as a share of the largest
            number of the output; 1 % of float16, 10 % of dynamic and 20 % of int8 where None.
        overwrite: Whether to replace files that exist.

    Raises:
        UserError: the model can't be written, a kind is unknown, or a file exists.
        CheckFailed: an output differs from JAX's by more than its dtype or the bound allows.
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
    cases = collect(trace(closed), (batch_size,), seed=0, allow_non_finite=True)
    shown = {
        f"batch_{number}": GoldenCase(inputs, answer(entry, inputs))
        for number, inputs in enumerate(batches[:_COMPARED])
    }
    cases = replace(cases, random={**shown, **cases.random})
    check_telling(entry.label, list(cases.random.values()), cases.tolerances)
    for kind, path in paths.items():
        content = convert(closed, kind=kind, samples=batches[_COMPARED:])
        found = check(f"{path}", kind, content, cases, bound)
        with staged_file(path) as staged:
            staged.write_bytes(content)
        yield TfliteFile(
            kind,
            path,
            len(content),
            found.max_abs_err,
            found.relative_err,
            found.unlike_at_extremes,
        )


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
