"""Files for TensorFlow Lite, each compared with JAX before it appears."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from artifact.comparison import difference
from artifact.manifest import Tolerance
from exporter.errors import CheckFailed, UserError
from exporter.formats.tflite.conversion import KINDS, at_batch_size, convert, runner
from exporter.model import Model, naming
from exporter.storage.atomic import replacing
from exporter.verify import inputs as cases

Arrays = Mapping[str, np.ndarray]

# Batches to compare at, and others that show a quantised model what numbers to expect: too few of
# those cut off the rarer large ones.
_COMPARED = 16
_SHOWN = 128


@dataclass(frozen=True)
class Result:
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
) -> Iterator[Result]:
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
    batches = _batches(model, batch_size)
    compared = [(inputs, _answer(model, inputs)) for inputs in batches[:_COMPARED]]
    for kind, path in paths.items():
        samples = batches[_COMPARED:]
        content = convert(model, kind=kind, batch_size=batch_size, samples=samples)
        error, relative = _compare(f"{path}", kind, content, compared)
        with replacing(path) as staged:
            staged.write_bytes(content)
        yield Result(kind, path, len(content), error, relative)


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


def _batches(model: Model, batch_size: int) -> list[Arrays]:
    """Inputs by name: real ones where there are enough of them, else random ones."""
    closed = at_batch_size(model, batch_size)
    names = naming.input_names(model.inputs)
    wanted = _COMPARED + _SHOWN
    arrays = [] if model.examples is None else jax.tree.leaves(model.examples.inputs)
    specs = jax.tree.leaves(closed.inputs)
    rows = min((len(array) for array in arrays if np.ndim(array)), default=0)
    fits = bool(arrays) and all(
        np.shape(array)[1:] == spec.shape[1:] for array, spec in zip(arrays, specs, strict=True)
    )
    if fits and rows >= wanted * batch_size:
        starts = range(0, wanted * batch_size, batch_size)
        return [
            {
                name: np.asarray(array[start : start + batch_size], spec.dtype)
                for name, array, spec in zip(names, arrays, specs, strict=True)
            }
            for start in starts
        ]
    return [
        dict(zip(names, cases.draw(closed, batch_size, seed), strict=True))
        for seed in range(wanted)
    ]


def _answer(model: Model, inputs: Arrays) -> dict[str, np.ndarray]:
    """JAX's outputs by name."""
    tree = jax.tree.structure(model.inputs).unflatten(inputs.values())
    outputs = model.func(model.params, tree)
    leaves = map(np.asarray, jax.tree.leaves(outputs))
    return dict(zip(naming.output_names(outputs), leaves, strict=True))
