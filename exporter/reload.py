"""A process of its own that loads a SavedModel and runs it: `python -m exporter.reload`.

It knows nothing of JAX. It imports TensorFlow, which takes seconds and may start before the model
is written, then waits for one line of JSON on its input: `{"version_dir": …, "cases": […]}`, the
directories whose golden examples it shall try. It answers with one line of JSON, a list of
differences, and ends; at once if its input ends.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from artifact import golden
from artifact.comparison import difference
from artifact.golden import GoldenCase
from artifact.manifest import Manifest

# Of many examples, as many are taken at once.
MAX_BATCH = 128

Arrays = Mapping[str, np.ndarray]
Route = Callable[[Arrays], Arrays]


def main() -> int:
    """Serves the one request."""
    line = sys.stdin.readline()
    if not line:
        return 1
    request = json.loads(line)
    version_dir = Path(request["version_dir"])
    manifest = Manifest.read(version_dir)
    loaded = tf.saved_model.load(str(version_dir))
    differences = [
        found
        for directory in request["cases"]
        for (signature, _), case in golden.read(Path(directory)).items()
        for found in _try(loaded, manifest, signature, case)
    ]
    print(json.dumps(differences))
    return 0


def _try(
    loaded: Any, manifest: Manifest, signature: str, case: GoldenCase
) -> Iterator[dict[str, Any]]:
    for through, batch_size, route in _routes(loaded, manifest, signature, case):
        actual, count = _run_in_batches(route, case.inputs, batch_size)
        for name, array in case.outputs.items():
            error, agrees = difference(actual[name], array[:count], manifest.tolerance)
            yield {
                "signature": signature,
                "output": name,
                "batch_size": batch_size,
                "through": through,
                "max_abs_err": error,
                "agrees": agrees,
            }


def _routes(
    loaded: Any, manifest: Manifest, signature: str, case: GoldenCase
) -> Iterator[tuple[str, int, Route]]:
    """The ways into the model that take the case, with the batch size that each takes."""
    entry = manifest.signatures[signature]
    count = _count(case.inputs)
    serve = loaded.signatures[signature]
    sizes = [t.shape[0] for t in entry.inputs.values() if t.shape]
    served = sizes[0] if sizes and sizes[0] is not None else min(count, MAX_BATCH)
    if served <= count:
        yield "signature", served, partial(_served, serve)
    for function in loaded.__call__.concrete_functions:
        (structure,), _ = function.structured_input_signature
        specs = {spec.name: spec for spec in tf.nest.flatten(structure)}
        if all(specs[name].shape.is_compatible_with(a.shape) for name, a in case.inputs.items()):
            yield "call", count, partial(_called, loaded, structure, entry)
            break


def _served(serve: Any, inputs: Arrays) -> Arrays:
    return serve(**{name: tf.constant(array) for name, array in inputs.items()})


def _called(loaded: Any, structure: Any, entry: Any, inputs: Arrays) -> Arrays:
    tree = tf.nest.map_structure(lambda spec: tf.constant(inputs[spec.name]), structure)
    return dict(zip(entry.program.output_names, tf.nest.flatten(loaded(tree)), strict=True))


def _run_in_batches(route: Route, inputs: Arrays, batch_size: int) -> tuple[Arrays, int]:
    """Runs as many whole batches as there are, and says how many rows that makes."""
    count = _count(inputs) // batch_size * batch_size if batch_size else 0
    batches = [
        {name: np.asarray(array) for name, array in outputs.items()}
        for start in range(0, count, batch_size)
        for outputs in [route({k: v[start : start + batch_size] for k, v in inputs.items()})]
    ]
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}, count


def _count(inputs: Arrays) -> int:
    return max((array.shape[0] for array in inputs.values() if array.ndim), default=0)


if __name__ == "__main__":
    sys.exit(main())
