"""Inputs to check a signature at: random ones, and how many rows they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from exporter.model import TensorSpec
from exporter.model.dimensions import allowed, batch_symbol, choose
from exporter.model.entry import Entry
from wire import dtypes

Arrays = Mapping[str, np.ndarray]

# Batches are tried up to half of this size, where constraints end below that.
_LARGEST = 1024
# Random integers are drawn below this, where no examples show a range.
_INTEGER_END = 10


def is_float(array: Any) -> bool:
    """Tells whether an array or number is of real or complex floating point, of any width."""
    dtype = array.dtype if hasattr(array, "dtype") else jnp.result_type(array)
    return bool(jnp.issubdtype(dtype, jnp.inexact))


def usable_batch_sizes(entry: Entry, batch_sizes: Sequence[int]) -> list[int]:
    """Returns those batch sizes that a signature's constraints allow; `[1]` where it has no batch.

    The largest that they allow is among them, where they end.

    Raises:
        UserError: it allows none of them.
    """
    symbol = entry.batch_symbol
    if symbol is None:
        return [1]
    usable = [size for size in batch_sizes if allowed({symbol: size}, entry.constraints)]
    if entry.constraints:
        every = [s for s in range(1, _LARGEST + 1) if allowed({symbol: s}, entry.constraints)]
        if every and every[-1] <= _LARGEST // 2:
            usable = list(dict.fromkeys([*usable, every[-1]]))
    return usable or [choose([symbol], {}, entry.constraints)[symbol]]


def draw(entry: Entry, batch_size: int, seed: int) -> dict[str, np.ndarray]:
    """Draws a signature's inputs by name; seed and batch size decide the numbers."""
    rng = np.random.default_rng((seed, batch_size))
    return random_inputs(entry.specs, batch_size, rng, entry.real_inputs(), entry.constraints)


def random_inputs(
    specs: Mapping[str, TensorSpec],
    batch_size: int,
    rng: np.random.Generator,
    like: Arrays | None = None,
    constraints: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Draws an array a spec: normal, uniform integers, or booleans.

    Args:
        specs: The inputs by name.
        batch_size: The size of the open leading dimension.
        rng: Where the numbers come from.
        like: Real inputs: other open dimensions get their sizes, integers stay in their range.
        constraints: What open dimensions keep to.
    """
    symbol = batch_symbol(specs.values())
    sizes = {} if symbol is None else {symbol: batch_size}
    for input_name, example in (like or {}).items():
        for name, size in zip(specs[input_name].shape, example.shape, strict=True):
            if isinstance(name, str):
                sizes.setdefault(name, size)
    names = dict.fromkeys(n for s in specs.values() for n in s.shape if isinstance(n, str))
    # Other sizes for each batch size: what holds at one length only shall show.
    sizes = choose([n for n in names if n not in sizes], sizes, constraints, start=batch_size)
    return {
        name: _random(
            dtypes.numpy_dtype(spec.dtype),
            [sizes[size] if isinstance(size, str) else size for size in spec.shape],
            rng,
            like[name] if like and like[name].size else None,
        )
        for name, spec in specs.items()
    }


def random_like(inputs: Arrays, rng: np.random.Generator) -> dict[str, np.ndarray]:
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
        low, high = (0, _INTEGER_END - 1) if example is None else (example.min(), example.max())
        # As Python's integers: the end of a dtype's range has no successor in it.
        numbers = rng.integers(int(low), int(high), shape, _drawn_dtype(dtype), endpoint=True)
    else:
        numbers = rng.normal(size=shape)
        if dtype.kind == "c":
            numbers = numbers + 1j * rng.normal(size=shape)
    return np.asarray(numbers).astype(dtype)


def _drawn_dtype(dtype: np.dtype) -> type[np.integer]:
    return np.uint64 if dtype == np.uint64 else np.int64
