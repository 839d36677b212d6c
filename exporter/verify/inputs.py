"""Inputs to check a model at, and JAX's answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from artifact.comparison import difference
from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import Tolerance
from exporter.errors import UserError
from exporter.model import Model, TensorSpec
from exporter.model.dimensions import allowed, batch_symbol, choose
from exporter.trace.trace import Traced
from wire import dtypes

# As many real inputs as a version keeps for clients to send.
MAX_EXAMPLES = 256
# Random integers are drawn below this, where no examples show a range.
_INTEGER_END = 10


def batch_name(batch_size: int) -> str:
    """The name of the case of random inputs of a batch size."""
    return f"batch_{batch_size}"


def random_cases(
    model: Model, traced: Traced, batch_sizes: Sequence[int], seed: int
) -> dict[str, GoldenCase]:
    """Returns random inputs of several batch sizes with JAX's answers, by case name.

    Raises:
        UserError: the function answers the same inputs differently the second time.
    """
    cases = {
        batch_name(batch_size): answer(model, traced, draw(model, batch_size, seed))
        for batch_size in usable_batch_sizes(model, batch_sizes)
    }
    first = next(iter(cases.values()))
    again = answer(model, traced, list(first.inputs.values()))
    for name, array in first.outputs.items():
        if not difference(again.outputs[name], array, Tolerance()).agrees:
            raise UserError(
                f"{model.name}: {name} is another one for the same inputs the second time; the "
                "function has a side effect or draws random numbers: make it depend on params and "
                "inputs alone"
            )
    return cases


def usable_batch_sizes(model: Model, batch_sizes: Sequence[int]) -> list[int]:
    """Returns those batch sizes that a model's constraints allow; `[1]` where it has no batch.

    Raises:
        UserError: it allows none of them.
    """
    symbol = batch_symbol(jax.tree.leaves(model.inputs))
    if symbol is None:
        return [1]
    usable = [size for size in batch_sizes if allowed({symbol: size}, model.constraints)]
    return usable or [choose([symbol], {}, model.constraints)[symbol]]


def example_case(model: Model, traced: Traced) -> dict[str, GoldenCase]:
    """Returns the first real inputs of a model with JAX's answers; none where it has none."""
    if model.examples is None:
        return {}
    symbol = traced.batch_symbol
    arrays = [
        array[:MAX_EXAMPLES] if symbol is not None and spec.shape[:1] == (symbol,) else array
        for spec, array in zip(traced.input_specs, _flat_examples(model) or [], strict=True)
    ]
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
    return random_inputs(
        jax.tree.leaves(model.inputs), batch_size, rng, _flat_examples(model), model.constraints
    )


def random_inputs(
    specs: Sequence[TensorSpec],
    batch_size: int,
    rng: np.random.Generator,
    like: Sequence[np.ndarray] | None = None,
    constraints: Sequence[str] = (),
) -> list[np.ndarray]:
    """Draws an array a spec: normal, uniform integers, or booleans.

    Args:
        specs: The flat inputs.
        batch_size: The size of the open leading dimension.
        rng: Where the numbers come from.
        like: Real inputs: other open dimensions get their sizes, integers stay in their range.
        constraints: What open dimensions keep to.
    """
    symbol = batch_symbol(specs)
    sizes = {} if symbol is None else {symbol: batch_size}
    for spec, example in zip(specs, like or (), strict=False):
        for name, size in zip(spec.shape, example.shape, strict=True):
            if isinstance(name, str):
                sizes.setdefault(name, size)
    names = dict.fromkeys(n for s in specs for n in s.shape if isinstance(n, str))
    # Other sizes for each batch size: what holds at one length only shall show.
    sizes = choose([n for n in names if n not in sizes], sizes, constraints, start=batch_size)
    return [
        _random(
            dtypes.numpy_dtype(spec.dtype),
            [sizes[size] if isinstance(size, str) else size for size in spec.shape],
            rng,
            like[index] if like and like[index].size else None,
        )
        for index, spec in enumerate(specs)
    ]


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
    numbers: Any
    if dtype.kind == "b":
        numbers = rng.integers(0, 2, shape)
    elif dtype.kind in "iu":
        low, high = (0, _INTEGER_END) if example is None else (example.min(), example.max() + 1)
        numbers = rng.integers(low, high, shape)
    else:
        numbers = rng.normal(size=shape)
        if dtype.kind == "c":
            numbers = numbers + 1j * rng.normal(size=shape)
    return np.asarray(numbers).astype(dtype)


def _flat_examples(model: Model) -> list[np.ndarray] | None:
    if model.examples is None:
        return None
    return [np.asarray(array) for array in jax.tree.leaves(model.examples.inputs)]
