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
from artifact.comparison import difference
from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import Manifest
from exporter.model import SERVING_DEFAULT

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
        for (signature, name), case in golden.read(Path(directory)).items()
        for found in _try(loaded, manifest, signature, name, case)
    ]
    print(json.dumps(differences))
    return 0


def _try(
    loaded: Any, manifest: Manifest, signature: str, name_of_case: str, case: GoldenCase
) -> Iterator[dict[str, Any]]:
    for through, batch_size, route in _routes(loaded, manifest, signature, name_of_case, case):
        batched = manifest.signatures[signature].batched_inputs
        actual, count = _run_in_batches(route, case.inputs, batched, batch_size)
        for name, array in case.outputs.items():
            expected = array if count is None else array[:count]
            error, agrees = difference(actual[name], expected, manifest.tolerance)
            yield {
                "signature": signature,
                "output": name,
                "batch_size": batch_size or 1,
                "through": through,
                "max_abs_err": error,
                "agrees": agrees,
            }


def _routes(
    loaded: Any, manifest: Manifest, signature: str, name_of_case: str, case: GoldenCase
) -> Iterator[tuple[str, int | None, Route]]:
    """The ways into the model that take the case, with the batch size that each takes."""
    entry = manifest.signatures[signature]
    count = entry.batch_size(case.inputs)
    serve = loaded.signatures[signature]
    served = None
    if count is not None:
        served = entry.inputs[entry.batched_inputs[0]].shape[0] or min(count, MAX_BATCH)
    if served is None or count is None or served <= count:
        yield "signature", served, partial(_served, serve)
    if signature != SERVING_DEFAULT:
        return  # `__call__` is that signature's function
    for function in loaded.__call__.concrete_functions:
        (structure,), _ = function.structured_input_signature
        specs = {spec.name: spec for spec in tf.nest.flatten(structure)}
        if all(specs[name].shape.is_compatible_with(a.shape) for name, a in case.inputs.items()):
            yield "call", count, partial(_called, loaded, structure, entry)
            return
    if name_of_case != EXAMPLES:  # real inputs are as many as there are, a fixed export takes few
        raise ValueError(f"__call__ takes none of the inputs of {signature}/{name_of_case}")


def _served(serve: Any, inputs: Arrays) -> Arrays:
    return serve(**{name: tf.constant(array) for name, array in inputs.items()})


def _called(loaded: Any, structure: Any, entry: Any, inputs: Arrays) -> Arrays:
    tree = tf.nest.map_structure(lambda spec: tf.constant(inputs[spec.name]), structure)
    return dict(zip(entry.program.output_names, tf.nest.flatten(loaded(tree)), strict=True))


def _run_in_batches(
    route: Route, inputs: Arrays, batched: Sequence[str], batch_size: int | None
) -> tuple[Arrays, int | None]:
    """Runs as many whole batches as there are, and says how many rows that makes.

    One batch is run as it is: outputs need no row a row then. So are inputs without a batch.
    """
    if batch_size is None or len(inputs[batched[0]]) == batch_size:
        return {name: np.asarray(array) for name, array in route(inputs).items()}, None
    count = len(inputs[batched[0]]) // batch_size * batch_size
    batches = []
    for start in range(0, count, batch_size):
        rows = {name: inputs[name][start : start + batch_size] for name in batched}
        batches.append({k: np.asarray(v) for k, v in route({**inputs, **rows}).items()})
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}, count


if __name__ == "__main__":
    sys.exit(main())
