"""Inputs of the run: random ones, and ones with the numbers where runtimes part ways.

They are drawn here, not by the exporter: its own choice of inputs is under test, too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Arrays = dict[str, np.ndarray]

_OTHER_SIZES = (5, 2, 9)  # of open dimensions beside the batch, by the kind of inputs
_FLOATS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, -1.5, 2.5)
_LEAST_INTEGERS, _INTEGERS = -9, 100  # random ones lie between


def draw(
    specs: Mapping[str, tuple[tuple[int | str, ...], str]],
    batch: str | None,
    batch_size: int,
    ranges: Mapping[str, tuple[int, int]],
    *,
    edges: bool,
) -> Arrays:
    """Draws an array an input.

    Args:
        specs: Shape and dtype of each input, by its name; strings are open dimensions.
        batch: The dimension that is the batch.
        batch_size: Its size.
        ranges: The least and the largest number of an input.
        edges: Whether a quarter of the numbers is NaN, infinite or zero, or at the dtype's ends.
    """
    rng = np.random.default_rng((2026, batch_size, edges))
    sizes: dict[str, int] = {} if batch is None else {batch: batch_size}
    arrays = {}
    for name, (shape, dtype) in specs.items():
        for size in shape:
            if isinstance(size, str):
                sizes.setdefault(size, _OTHER_SIZES[len(sizes) % len(_OTHER_SIZES)])
        closed = [sizes[size] if isinstance(size, str) else size for size in shape]
        arrays[name] = _draw(rng, closed, np.dtype(dtype), ranges.get(name), edges)
    return arrays


def _draw(
    rng: np.random.Generator,
    shape: list[int],
    dtype: np.dtype,
    limits: tuple[int, int] | None,
    edges: bool,
) -> np.ndarray:
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low, high = limits or (max(_LEAST_INTEGERS, info.min), min(_INTEGERS, info.max))
        drawn = rng.integers(low, high, shape, endpoint=True).astype(dtype)
        ends = limits or (info.min, info.max, 0, 1)
        return _with(rng, drawn, np.array(ends, dtype)) if edges else drawn
    if dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    drawn = rng.normal(size=shape).astype(dtype)
    return _with(rng, drawn, np.array(_FLOATS, dtype)) if edges else drawn


def _with(rng: np.random.Generator, drawn: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Puts one of `ends` in the place of every fourth number or so."""
    chosen = ends[rng.integers(0, len(ends), drawn.shape)]
    return np.where(rng.random(drawn.shape) < 0.25, chosen, drawn)
