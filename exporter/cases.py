"""Inputs to check a model at, and JAX's answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from artifact.golden import EXAMPLES, GoldenCase
from exporter.model import Model, TensorSpec
from exporter.program import Traced, batch_symbol
from wire import dtypes

# As many real inputs as a version keeps for clients to send.
MAX_EXAMPLES = 256
# What open dimensions other than the batch are set to, where no examples show a size.
_OPEN_SIZE = 16
# Random integers are drawn below this, where no examples show a range.
_INTEGER_END = 10


def batch_name(batch_size: int) -> str:
    """The name of the case of random inputs of a batch size."""
    return f"batch_{batch_size}"


def random_cases(
    model: Model, traced: Traced, batch_sizes: Sequence[int], seed: int
) -> dict[str, GoldenCase]:
    """Returns random inputs of several batch sizes with JAX's answers, by case name."""
    return {
        batch_name(batch_size): answer(model, traced, draw(model, batch_size, seed))
        for batch_size in batch_sizes
    }


def example_case(model: Model, traced: Traced) -> dict[str, GoldenCase]:
    """Returns the first real inputs of a model with JAX's answers; none where it has none."""
    if model.examples is None:
        return {}
    arrays = [array[:MAX_EXAMPLES] for array in _flat_examples(model) or []]
    labels = model.examples.labels
    return {EXAMPLES: answer(model, traced, arrays, None if labels is None else labels)}


def answer(
    model: Model,
    traced: Traced,
    arrays: Sequence[np.ndarray],
    labels: np.ndarray | None = None,
) -> GoldenCase:
    """Runs the model's own function on flat inputs.

    It runs untraced, operation by operation: what tracing would have baked into an export (a
    random number, a Python branch on a value) shows as a difference.
    """
    inputs = jax.tree.structure(model.inputs).unflatten([jax.numpy.asarray(a) for a in arrays])
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        outputs = jax.tree.leaves(model.func(model.params, inputs))
    return GoldenCase(
        dict(zip(traced.input_names, map(np.asarray, arrays), strict=True)),
        dict(zip(traced.output_names, map(np.asarray, outputs), strict=True)),
        None if labels is None else np.asarray(labels[:MAX_EXAMPLES], np.int64),
    )


def draw(model: Model, batch_size: int, seed: int) -> list[np.ndarray]:
    """Draws an array a flat input of a model; seed and batch size decide the numbers."""
    rng = np.random.default_rng((seed, batch_size))
    return random_inputs(jax.tree.leaves(model.inputs), batch_size, rng, _flat_examples(model))


def random_inputs(
    specs: Sequence[TensorSpec],
    batch_size: int,
    rng: np.random.Generator,
    like: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Draws an array a spec: normal, uniform integers, or booleans.

    Args:
        specs: The flat inputs.
        batch_size: The size of the open leading dimension.
        rng: Where the numbers come from.
        like: Real inputs: other open dimensions get their sizes, integers stay in their range.
    """
    sizes = {batch_symbol(specs): batch_size}
    arrays = []
    for index, spec in enumerate(specs):
        example = like[index] if like else None
        shape = []
        for axis, size in enumerate(spec.shape):
            if isinstance(size, str):
                size = sizes.setdefault(
                    size, example.shape[axis] if example is not None else _OPEN_SIZE
                )
            shape.append(size)
        arrays.append(_random(dtypes.numpy_dtype(spec.dtype), shape, rng, example))
    return arrays


def random_like(
    inputs: Mapping[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draws arrays of the shapes and dtypes of others, integers in the same range."""
    return {
        name: _random(array.dtype, array.shape, rng, array if array.size else None)
        for name, array in inputs.items()
    }


def _random(
    dtype: np.dtype, shape: Sequence[int], rng: np.random.Generator, example: np.ndarray | None
) -> np.ndarray:
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        low, high = (0, _INTEGER_END) if example is None else (example.min(), example.max() + 1)
        return rng.integers(low, high, shape).astype(dtype)
    if dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def _flat_examples(model: Model) -> list[np.ndarray] | None:
    if model.examples is None:
        return None
    return [np.asarray(array) for array in jax.tree.leaves(model.examples.inputs)]
