"""JAX's answers to inputs: the measure of every other runtime."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from artifact.comparison import difference
from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import Tolerance
from exporter.errors import UserError
from exporter.model import naming
from exporter.model.entry import Entry
from exporter.verify.inputs import Arrays, draw, usable_batch_sizes

# As many real inputs as a version keeps for clients to send.
MAX_EXAMPLES = 256


def answer(entry: Entry, inputs: Arrays) -> dict[str, np.ndarray]:
    """Runs a signature's own function on inputs by name, and returns its outputs by name.

    It runs on the CPU, whose float32 is exact, and untraced, operation by operation: what tracing
    would have baked into an export (a random number, a Python branch on a value) shows as a
    difference.
    """
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        arrays = {name: jax.numpy.asarray(array) for name, array in inputs.items()}
        outputs = entry.func(entry.params, entry.tree(arrays))
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(outputs)]
    return dict(zip(naming.output_names(outputs), leaves, strict=True))


def batch_name(batch_size: int) -> str:
    """Returns the name of the case of random inputs of a batch size."""
    return f"batch_{batch_size}"


def random_cases(entry: Entry, batch_sizes: Sequence[int], seed: int) -> dict[str, GoldenCase]:
    """Returns random inputs of several batch sizes with JAX's answers, by case name.

    Raises:
        UserError: the function answers the same inputs differently the second time.
    """
    cases = {}
    for batch_size in usable_batch_sizes(entry, batch_sizes):
        inputs = draw(entry, batch_size, seed)
        cases[batch_name(batch_size)] = GoldenCase(inputs, answer(entry, inputs))
    first = next(iter(cases.values()))
    again = answer(entry, first.inputs)
    for name, array in first.outputs.items():
        if not difference(again[name], array, Tolerance()).agrees:
            raise UserError(
                f"{entry.label}: {name} is another one for the same inputs the second time; the "
                "function has a side effect or draws random numbers: make it depend on params and "
                "inputs alone"
            )
    return cases


def check_finite(label: str, cases: Sequence[GoldenCase]) -> None:
    """Checks that each output shows something: a NaN equals a NaN, whatever is wrong behind it.

    Raises:
        UserError: an output has no finite number in any of the cases.
    """
    for name in cases[0].outputs:
        arrays = [case.outputs[name] for case in cases if case.outputs[name].size]
        is_float = bool(arrays) and jax.numpy.issubdtype(arrays[0].dtype, jax.numpy.inexact)
        if is_float and not any(np.isfinite(array).any() for array in arrays):
            raise UserError(
                f"{label}: {name} is NaN or infinite at all inputs that were tried, so nothing can "
                "be compared; mend the model, give it real inputs (Examples), or publish it as it "
                "is: --allow_non_finite"
            )


def example_case(entry: Entry) -> dict[str, GoldenCase]:
    """Returns the first real inputs of a signature with JAX's answers; none where it has none."""
    real = entry.real_inputs()
    if real is None or entry.examples is None:
        return {}
    symbol, labels = entry.batch_symbol, entry.examples.labels
    inputs = {
        name: real[name][:MAX_EXAMPLES]
        if symbol is not None and spec.shape[:1] == (symbol,)
        else real[name]
        for name, spec in entry.specs.items()
    }
    return {
        EXAMPLES: GoldenCase(
            inputs,
            answer(entry, inputs),
            None if labels is None else np.asarray(labels[:MAX_EXAMPLES], np.int64),
        )
    }
