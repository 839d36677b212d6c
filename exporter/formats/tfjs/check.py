"""Comparing a written TensorFlow.js model with JAX: its files in TensorFlow, and TensorFlow.js."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from artifact.comparison import difference
from artifact.golden import GoldenCase
from artifact.manifest import Tolerance
from exporter.errors import CheckFailed
from exporter.formats import quantised
from exporter.formats.tfjs import graph_model, node
from exporter.formats.tfjs.graph_model import GraphModel
from exporter.verify.cases import SignatureCases
from exporter.verify.compare import compare
from exporter.verify.edges import EXTREMES, kind_of
from exporter.verify.inputs import Arrays

# What runs the written files without TensorFlow.js.
TENSORFLOW = "tensorflow"
_AS_INT32 = ("int8", "uint8", "int16", "uint16")


@dataclass(frozen=True)
class OutputDifference:
    """The largest difference of an output.

    Attributes:
        runtime: `tensorflow`, `cpu` or `wasm`.
        output: Its name.
        batch_size: Of the inputs.
        from_graph: From the same graph in TensorFlow: what TensorFlow.js itself adds.
        from_jax: From JAX: with it, what quantised weights cost.
        inputs: The kind of inputs: `random`, `examples` or a kind of edges.
    """

    runtime: str
    output: str
    batch_size: int
    from_graph: float
    from_jax: float
    inputs: str


def check(
    label: str,
    built: GraphModel,
    directory: Path,
    cases: SignatureCases,
    *,
    backends: Sequence[str],
    weights: str,
    bound: float,
) -> list[OutputDifference]:
    """Compares what was written with JAX at all cases.

    Float32 weights give JAX's answers. Others are another model than JAX's: what runs them gives
    the answers of the graph that has them, and those are near JAX's.

    Args:
        label: The model's, for messages.
        built: What was written.
        directory: Where.
        cases: With JAX's answers.
        backends: Of TensorFlow.js, to run in Node.
        weights: How they are stored.
        bound: How far outputs of quantised weights may be from JAX's.

    Raises:
        CheckFailed: an output differs.
    """
    named = {name: _as_tfjs(case) for name, case in cases.all.items()}
    inputs = [case.inputs for case in named.values()]
    reference = built.reference()
    in_graph = [_in_its_dtypes(reference.run(case)) for case in inputs]
    answers = {TENSORFLOW: _run_written(label, directory, inputs)}
    if backends:
        answers.update(
            {k: list(found) for k, found in node.run(directory, inputs, backends).items()}
        )
    differences = []
    for runtime, found in answers.items():
        pairs: list[tuple[Arrays, Arrays]] = []
        for (name, case), actual, graph in zip(named.items(), found, in_graph, strict=True):
            kind = kind_of(name)
            rows = case.inputs[next(iter(case.inputs))].shape[:1]
            size = rows[0] if rows else 1
            where = f"{label}: %s on {runtime} at batch {size} of {kind} inputs"
            expected = case if weights == "float32" else replace(case, outputs=graph)
            _check(where, runtime, kind, actual, expected, cases)
            if weights != "float32" and kind in ("random", "examples"):
                pairs.append((actual, case.outputs))
            for output, value in actual.items():
                theirs = case.outputs[output]
                differences.append(
                    OutputDifference(
                        runtime,
                        output,
                        size,
                        difference(value, graph[output], Tolerance()).max_abs_err,
                        difference(value, theirs, Tolerance(), case.leeway.get(output)).max_abs_err,
                        kind,
                    )
                )
        if pairs:
            quantised.check(f"{label}: %s on {runtime}", weights, pairs, bound)
    return differences


def _run_written(label: str, directory: Path, inputs: Sequence[Arrays]) -> list[Arrays]:
    """Runs the files in TensorFlow, as they were written."""
    try:
        written = graph_model.read(directory)
        return [_in_its_dtypes(written.run(case)) for case in inputs]
    except (ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckFailed(
            f"{label}: what was written can't be read and run: {reason}; nothing was published"
        ) from None


def _check(
    where: str, runtime: str, kind: str, actual: Arrays, expected: GoldenCase, cases: SignatureCases
) -> None:
    for found in compare(actual, expected, cases.tolerances.__getitem__):
        # TensorFlow.js' kernels promise nothing of NaN; what they do is shown, not refused.
        if found.problem and (runtime == TENSORFLOW or kind != EXTREMES):
            raise CheckFailed(f"{where % found.output} {found.problem}; nothing was published")


def _as_tfjs(case: GoldenCase) -> GoldenCase:
    return replace(case, outputs=_in_its_dtypes(case.outputs))


def _in_its_dtypes(outputs: Arrays) -> dict[str, np.ndarray]:
    """Outputs as TensorFlow.js gives them: narrow integers are its int32."""
    return {
        name: array.astype(np.int32) if array.dtype.name in _AS_INT32 else array
        for name, array in outputs.items()
    }
