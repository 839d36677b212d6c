"""Inputs of the run: random ones, and ones with the numbers where runtimes part ways.

They are drawn here, not by the exporter: its own choice of inputs is under test, too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Arrays = dict[str, np.ndarray]

_OTHER_SIZES = (5, 2, 9)  # of open dimensions beside the batch, by the kind of inputs
# Kinds of inputs: numbers of the usual size; also zeros, halves, and the ends of integers; also NaN
# and infinities.
RANDOM, EDGE, EXTREME = "random", "edge", "NaN and infinite"
_FLOATS = {EDGE: (0.0, -0.0, 0.5, -0.5, -1.5, 2.5, 1.0, -1.0)}
_FLOATS[EXTREME] = (np.nan, np.inf, -np.inf, *_FLOATS[EDGE])
_LEAST_INTEGERS, _INTEGERS = -9, 100  # random ones lie between


def draw(
    specs: Mapping[str, tuple[tuple[int | str, ...], str]],
    batch: str | None,
    batch_size: int,
    ranges: Mapping[str, tuple[int, int]],
    *,
    kind: str,
) -> Arrays:
    """Draws an array an input.

    Args:
        specs: Shape and dtype of each input, by its name; strings are open dimensions.
        batch: The dimension that is the batch.
        batch_size: Its size.
        ranges: The least and the largest number of an input.
        kind: `RANDOM`, `EDGE` or `EXTREME`: a quarter of the numbers is of that kind.
    """
    rng = np.random.default_rng((2026, batch_size, len(kind)))
    sizes: dict[str, int] = {} if batch is None else {batch: batch_size}
    arrays = {}
    for name, (shape, dtype) in specs.items():
        for size in shape:
            if isinstance(size, str):
                sizes.setdefault(size, _OTHER_SIZES[len(sizes) % len(_OTHER_SIZES)])
        closed = [sizes[size] if isinstance(size, str) else size for size in shape]
        arrays[name] = _draw(rng, closed, np.dtype(dtype), ranges.get(name), kind)
    return arrays


def _draw(
    rng: np.random.Generator,
    shape: list[int],
    dtype: np.dtype,
    limits: tuple[int, int] | None,
    kind: str,
) -> np.ndarray:
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low, high = limits or (max(_LEAST_INTEGERS, info.min), min(_INTEGERS, info.max))
        drawn = rng.integers(low, high, shape, endpoint=True).astype(dtype)
        ends = limits or (info.min, info.max, 0, 1)
        return drawn if kind == RANDOM else _with(rng, drawn, np.array(ends, dtype))
    if dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    drawn = rng.normal(size=shape).astype(dtype)
    return drawn if kind == RANDOM else _with(rng, drawn, np.array(_FLOATS[kind], dtype))


def _with(rng: np.random.Generator, drawn: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Puts one of `ends` in the place of every fourth number or so."""
    chosen = ends[rng.integers(0, len(ends), drawn.shape)]
    return np.where(rng.random(drawn.shape) < 0.25, chosen, drawn)
