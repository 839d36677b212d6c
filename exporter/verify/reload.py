"""A process of its own that loads a SavedModel and runs it: `python -m exporter.verify.reload`.

It knows nothing of JAX. It imports TensorFlow, which takes seconds and may start before the model
is written, then waits for one line of JSON on its input: `{"version_dir": …, "cases": […]}`, the
directories whose golden examples it shall try. It answers with one line of JSON, a list of
differences, and ends; at once if its input ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from artifact import golden
from artifact.golden import GoldenCase
from artifact.manifest import Manifest, SignatureRecord
from exporter.verify.compare import Arrays, rows
from exporter.verify.routes import CALL, PROGRAM, SIGNATURE, Route, routes

Run = Callable[[Arrays], Arrays]


def main() -> int:
    """Serves the one request."""
    line = sys.stdin.readline()
    if not line:
        return 1
    request = json.loads(line)
    directories = [Path(directory) for directory in request["cases"]]
    print(json.dumps(compare_version(Path(request["version_dir"]), directories)))
    return 0


def compare_version(version_dir: Path, directories: Sequence[Path]) -> list[dict[str, Any]]:
    """Compares a SavedModel with the golden examples in some directories, a row an output."""
    manifest = Manifest.read(version_dir)
    loaded = tf.saved_model.load(str(version_dir))
    return [
        row
        for directory in directories
        for (signature, name), case in golden.read(directory).items()
        for route in routes(manifest, signature, case)
        if route.through != PROGRAM
        for row in _try(loaded, manifest, signature, name, case, route)
    ]


def _try(
    loaded: Any,
    manifest: Manifest,
    signature: str,
    case_name: str,
    case: GoldenCase,
    route: Route,
) -> Iterator[dict[str, Any]]:
    record = manifest.signatures[signature]
    run: dict[str, Run] = {
        SIGNATURE: partial(_served, loaded.signatures[signature]),
        CALL: _call(loaded, record),
    }
    actual = _run_in_batches(
        run[route.through], case.inputs, record.batched_inputs, route.batch_size
    )
    yield from rows(manifest, signature, case_name, case, route, actual)


def _served(serve: Any, inputs: Arrays) -> Arrays:
    answers = serve(**{name: tf.constant(array) for name, array in inputs.items()})
    return {name: np.asarray(value) for name, value in answers.items()}


def _call(loaded: Any, record: SignatureRecord) -> Run:
    """`__call__` of inputs by name; all of its concrete functions take the same structure."""

    def run(inputs: Arrays) -> Arrays:
        assert record.program is not None
        (structure,), _ = loaded.__call__.concrete_functions[0].structured_input_signature
        tree = tf.nest.map_structure(lambda spec: tf.constant(inputs[spec.name]), structure)
        outputs = loaded(tree)
        leaves = list(map(np.asarray, tf.nest.flatten(outputs)))
        if isinstance(outputs, Mapping) and len(outputs) == len(leaves):
            return dict(zip(sorted(outputs), leaves, strict=True))
        return dict(zip(record.program.output_names, leaves, strict=True))

    return run


def _run_in_batches(
    run: Run, inputs: Arrays, batched: Sequence[str], batch_size: int | None
) -> Arrays:
    """Runs all rows in whole batches, the last of which overlaps the one before it.

    One batch is run as it is: outputs need no row a row then. So are inputs without a batch.
    """
    if batch_size is None or len(inputs[batched[0]]) == batch_size:
        return run(inputs)
    count = len(inputs[batched[0]])
    pieces: dict[str, list[np.ndarray]] = {}
    for start in range(0, count, batch_size):
        first = min(start, count - batch_size)
        taken = {name: inputs[name][first : first + batch_size] for name in batched}
        for name, array in run({**inputs, **taken}).items():
            pieces.setdefault(name, []).append(array[start - first :])
    return {name: np.concatenate(arrays) for name, arrays in pieces.items()}


if __name__ == "__main__":
    sys.exit(main())
