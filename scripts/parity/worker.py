"""A process that exports models in each format and compares what was published with JAX.

`python -m scripts.parity.worker DIRECTORY`: a line of JSON on its input names a model and formats,
`{"model": …, "formats": […]}`; for each format it answers with a line, a `Cell`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from artifact.manifest import Manifest, Tolerance
from scripts.parity import inputs as drawing
from scripts.parity.case import Case, cases
from scripts.parity.cell import (
    BATCH_SIZES,
    EQUAL,
    FINITE,
    OUTCOMES,
    REFUSED,
    TRACEBACK,
    WRONG,
    Cell,
)
from scripts.parity.comparing import compare
from scripts.parity.runtime import Arrays, RuntimeFailed, Runtimes

_LONGEST = 600  # letters of a message


class Refused(Exception):
    """The exporter said no, in words."""


class Broke(Exception):
    """The exporter ended in a traceback."""


class Tried(NamedTuple):
    """Inputs by name, what kind of inputs they are, and JAX's answers.

    What JAX answers operation by operation is asked only where an answer isn't that of the compiled
    function: it may be the one or the other.
    """

    kind: str
    batch_size: int
    inputs: Arrays
    compiled: Arrays
    eager: Callable[[], Arrays]


class Answered(NamedTuple):
    """What runtimes answered to inputs, and how it is to be compared."""

    tried: list[Tried]
    answers: dict[str, list[Arrays]]
    tolerance: Tolerance
    narrow: bool = False

    def compare(self, actual: Arrays, expected: Arrays) -> tuple[float, str]:
        """Compares one answer with JAX's; see `comparing.compare`."""
        return compare(actual, expected, self.tolerance, narrow=self.narrow)


class Subject:
    """A model, its inputs and JAX's answers to them."""

    def __init__(self, case: Case, directory: Path) -> None:
        from exporter.model import Model
        from exporter.model.entry import default_entry
        from exporter.model.from_function import model_from_function

        self.case = case
        self.directory = directory
        built = case.build()
        model = built if isinstance(built, Model) else model_from_function(case.name, *built)
        self._entry = default_entry(model)
        self.batch = self._entry.batch_symbol
        self._drawn: dict[tuple[int, bool], list[Tried]] = {}

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The sizes to try; one where there is no batch."""
        return BATCH_SIZES if self.batch is not None else (1,)

    def tried(self, batch_size: int, *, closed: bool = False) -> list[Tried]:
        """Returns inputs of a batch size with JAX's answers.

        Args:
            batch_size: Which.
            closed: Whether all open dimensions have the sizes that the exporter gives them where a
                format takes no open ones.
        """
        import jax

        from exporter.formats.tflite.conversion import at_batch_size

        key = (batch_size, closed and self._has_other_dimensions)
        if key not in self._drawn:
            entry = at_batch_size(self._entry, batch_size) if key[1] else self._entry
            specs = {name: (spec.shape, spec.dtype) for name, spec in entry.specs.items()}
            self._drawn[key] = [
                Tried(
                    kind,
                    batch_size,
                    arrays,
                    self._answers(jax.jit(self._entry.func), arrays),
                    functools.partial(self._answers, self._entry.func, arrays),
                )
                for kind in self._kinds
                for arrays in [
                    drawing.draw(specs, self.batch, batch_size, self.case.ranges, kind=kind)
                ]
            ]
        return self._drawn[key]

    @property
    def _kinds(self) -> Sequence[str]:
        """The kinds of inputs that it takes, and that differ."""
        if not self.case.edges:
            return (drawing.RANDOM,)
        dtypes = [np.dtype(spec.dtype) for spec in self._entry.specs.values()]
        has_floats = any(dtype.kind not in "iub" for dtype in dtypes)
        return (drawing.RANDOM, drawing.EDGE, *((drawing.EXTREME,) if has_floats else ()))

    @property
    def _has_other_dimensions(self) -> bool:
        sizes = [size for spec in self._entry.specs.values() for size in spec.shape]
        return any(isinstance(size, str) and size != self.batch for size in sizes)

    def _answers(self, func: Callable[..., Any], arrays: Arrays) -> Arrays:
        import jax

        from exporter.model import naming

        tree = self._entry.tree({name: jax.numpy.asarray(a) for name, a in arrays.items()})
        outputs = func(jax.tree.map(jax.numpy.asarray, self._entry.params), tree)
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(outputs)]
        return dict(zip(naming.output_names(outputs), leaves, strict=True))


def try_format(subject: Subject, kind: str, runtimes: Runtimes) -> Cell:
    """Exports a model in one format, and compares what was published with JAX."""
    started = time.monotonic()
    fates: dict[int, tuple[str, str, float]] = {}
    for batch_size in subject.batch_sizes:
        try:
            fates[batch_size] = _fate(_FORMATS[kind](subject, batch_size, runtimes))
        except Refused as error:
            fates[batch_size] = (REFUSED, str(error), 0.0)
        except Broke as error:
            fates[batch_size] = (TRACEBACK, str(error), 0.0)
        except RuntimeFailed as error:
            fates[batch_size] = (WRONG, f"published, but it can't be run: {error}", 0.0)
    worst = max(fates.values(), key=lambda fate: OUTCOMES.index(fate[0]))
    cell = Cell(
        subject.case.name,
        kind,
        worst[0],
        " ".join(worst[1].split())[:_LONGEST],
        max(fate[2] for fate in fates.values()) if worst[0] in (EQUAL, FINITE) else None,
        seconds=round(time.monotonic() - started, 1),
    )
    if len({fate[0] for fate in fates.values()}) > 1:
        cell = replace(cell, batches={str(size): fate[0] for size, fate in fates.items()})
    return cell


def _fate(answered: Answered) -> tuple[str, str, float]:
    largest, at_extremes = 0.0, ""
    for runtime, found in answered.answers.items():
        for tried, actual in zip(answered.tried, found, strict=True):
            error, text = answered.compare(actual, tried.compiled)
            if text:
                error, other = answered.compare(actual, tried.eager())
                text = text if other else ""
            described = f"{tried.kind} inputs, batch {tried.batch_size}, {runtime}: {text}"
            if text and tried.kind != drawing.EXTREME:
                return WRONG, described, error
            if text:
                at_extremes = at_extremes or described
            else:
                largest = max(largest, error)
    return (FINITE, at_extremes, largest) if at_extremes else (EQUAL, "", largest)


def _saved_model(subject: Subject, batch_size: int, runtimes: Runtimes, *flags: str) -> Answered:
    base = subject.directory / ("plain" if flags else "xla")
    version_dir = _published(subject, base, *flags)
    tried = subject.tried(batch_size)
    found = runtimes.saved_model(version_dir, [one.inputs for one in tried])
    return Answered(tried, {"TensorFlow": found}, Manifest.read(version_dir).tolerance)


def _published(subject: Subject, base: Path, *flags: str) -> Path:
    """The version in `base`, exported at the first batch size."""
    name = subject.case.name
    version_dir = base / name / "1"
    note = base / "refusal.json"
    if note.exists():
        kind, text = json.loads(note.read_text())
        raise {"Refused": Refused, "Broke": Broke}[kind](text)
    if not version_dir.exists():
        base.mkdir(parents=True, exist_ok=True)
        arguments = ["export", subject.case.target, "--name", name, "--model_path", str(base)]
        arguments += ["--serving_batch_size=-1", "--noshow_model", "--json", *flags]
        try:
            _command(arguments)
        except (Refused, Broke) as error:
            note.write_text(json.dumps([type(error).__name__, str(error)]))
            raise
    return version_dir


def _tfjs(subject: Subject, batch_size: int, runtimes: Runtimes) -> Answered:
    base = _any_published(subject)
    out = subject.directory / "tfjs"
    if not out.exists():
        name = subject.case.name
        _command(["tfjs", "--model", name, "--model_path", str(base), "--out", str(out), "--json"])
    tried = subject.tried(batch_size)
    found = runtimes.tfjs(out, [one.inputs for one in tried])
    answers = {f"Node {backend}": answers for backend, answers in found.items()}
    return Answered(tried, answers, Tolerance(), narrow=True)


def _any_published(subject: Subject) -> Path:
    """Where a version is that can be written for TensorFlow.js, of whichever kind was published."""
    try:
        _published(subject, subject.directory / "plain", "--no_xla")
        return subject.directory / "plain"
    except (Refused, Broke) as error:
        with contextlib.suppress(Refused, Broke):
            _published(subject, subject.directory / "xla")
            return subject.directory / "xla"
        raise error


def _tflite(subject: Subject, batch_size: int, runtimes: Runtimes) -> Answered:
    name = subject.case.name
    out = subject.directory / f"tflite-{batch_size}"
    arguments = ["tflite", subject.case.target, "--name", name, "--out", str(out), "--json"]
    _command([*arguments, "--kinds", "float32", "--batch_size", str(batch_size)])
    file = out / f"{name}_float32.tflite"
    tried = subject.tried(batch_size, closed=True)
    return Answered(
        tried, {"LiteRT": runtimes.tflite(file, [t.inputs for t in tried])}, Tolerance()
    )


_FORMATS: dict[str, Callable[[Subject, int, Runtimes], Answered]] = {
    "xla": _saved_model,
    "plain": lambda subject, size, runtimes: _saved_model(subject, size, runtimes, "--no_xla"),
    "tfjs": _tfjs,
    "tflite": _tflite,
}


def _command(arguments: Sequence[str]) -> None:
    """Runs the exporter's command line in this process.

    Raises:
        Refused: it ended with an exit code and words.
        Broke: it ended with a traceback, or without a word.
    """
    from exporter.__main__ import main

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = main(arguments)
    except (Exception, SystemExit):
        lines = traceback.format_exc().strip().splitlines()
        frames = [line.strip() for line in lines if line.startswith("  File")]
        raise Broke(f"{' '.join(arguments[:1])}: {lines[-1]} [{frames[-1]}]") from None
    if code:
        lines = [line for line in said.getvalue().splitlines() if line.startswith("exporter: ")]
        if not lines:
            raise Broke(f"exit code {code} without a word: {said.getvalue()[-200:]}")
        raise Refused(lines[-1].removeprefix("exporter: "))


def main() -> None:
    """Serves until its input ends."""
    base = Path(sys.argv[1])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    known = cases()
    runtimes = Runtimes()
    try:
        for line in sys.stdin:
            job = json.loads(line)
            directory = base / job["model"]
            shutil.rmtree(directory, ignore_errors=True)
            subject = Subject(known[job["model"]], directory)
            for kind in job["formats"]:
                cell = try_format(subject, kind, runtimes)
                print(json.dumps(cell.to_json()), file=out, flush=True)
            shutil.rmtree(directory, ignore_errors=True)
            import jax

            jax.clear_caches()
    finally:
        runtimes.close()


if __name__ == "__main__":
    main()
