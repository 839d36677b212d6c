"""Inputs that find errors: the ends of dtypes, numbers of several sizes, indices beyond the ends.

Each row of a batch is one kind of edge; a signature without a batch has a case a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from exporter.model.dimensions import allowed
from exporter.model.entry import Entry
from exporter.verify.inputs import Arrays, is_float

# Kinds of cases, as tables show them: zeros, ones, numbers of several sizes, the ends of integers;
# and the largest floats, infinities and NaN, of which not every runtime's kernels promise anything.
EDGES, EXTREMES = "edges", "extremes"
KINDS = (EDGES, EXTREMES)

Row = np.ndarray
# Changes a row of random numbers: `(row, generator) -> row`.
Change = Callable[[Row, np.random.Generator], Row]


@dataclass(frozen=True)
class EdgeCase:
    """Inputs at the edges.

    Attributes:
        name: Of the case, for example `edges_0`.
        inputs: Arrays by name.
    """

    name: str
    inputs: dict[str, np.ndarray]


def edge_cases(
    draw: Callable[[int], Arrays],
    batched: Collection[str],
    *,
    size: int,
    longest: int,
    seed: int,
    kinds: Collection[str] = KINDS,
) -> Iterator[EdgeCase]:
    """Yields a signature's inputs at the edges of their dtypes.

    Args:
        draw: Gives random inputs by name, other ones for each number it is given.
        batched: The inputs whose leading axis is the batch; none: all are of one row.
        size: Rows of a batch.
        longest: The length of the longest table that an integer may be an index of.
        seed: Decides where the edges are.
        kinds: Which of `KINDS`.
    """
    rng = np.random.default_rng((seed, 0))
    size = size if batched else 1
    for kind, changes in ((EDGES, _edges(longest)), (EXTREMES, _extremes())):
        if kind not in kinds:
            continue
        for number, start in enumerate(range(0, len(changes), size)):
            inputs = dict(draw(number))
            if kind == EXTREMES and not any(is_float(array) for array in inputs.values()):
                continue
            chosen = [changes[(start + row) % len(changes)] for row in range(size)]
            changed = {
                name: _change(array, chosen, rng, is_batched=name in batched)
                if not batched or name in batched
                else array  # shared by all rows
                for name, array in inputs.items()
            }
            yield EdgeCase(f"{kind}_{number}", changed)


def batch_size(entry: Entry) -> int:
    """Returns a size that a signature's constraints allow and that has a row for each edge.

    It is one of the random cases' where it can be: JAX compiles each operation for each size.
    """
    symbol, wanted = entry.batch_symbol, len(_edges(1))
    if symbol is None:
        return 1
    sizes = [16, *range(wanted, 2 * wanted), *range(wanted - 1, 0, -1), *range(2 * wanted, 1024)]
    return next((s for s in sizes if allowed({symbol: s}, entry.constraints)), wanted)


def longest_table(params: Any) -> int:
    """Returns the length of the longest table among some parameters."""
    sizes = [leaf.shape[0] for leaf in jax.tree.leaves(params) if np.ndim(leaf) > 1]
    return max(sizes, default=1)


def kind_of(case_name: str) -> str:
    """Returns the kind that a case's name says; of random cases `random`, else the name."""
    stem = case_name.rsplit("_", 1)[0]
    return stem if stem in KINDS else "random" if stem == "batch" else case_name


def _change(
    array: np.ndarray, changes: Sequence[Change], rng: np.random.Generator, *, is_batched: bool
) -> np.ndarray:
    if not array.size:
        return array
    if not is_batched:
        return _changed(array, changes[0], rng)
    return np.stack([_changed(r, change, rng) for r, change in zip(array, changes, strict=True)])


def _changed(row: Any, change: Change, rng: np.random.Generator) -> np.ndarray:
    row = np.array(row)
    with np.errstate(over="ignore"):
        return np.asarray(change(row, rng), row.dtype).reshape(row.shape)


def _edges(longest: int) -> list[Change]:
    return [
        _fill(0.0, 0),
        _fill(-0.0, 0),
        _fill(1.0, 1),
        _fill(-1.0, -1),
        _one("tiny", "min"),
        _one(100.0, "max"),
        _scale(1e-3, longest),
        _scale(30.0, longest - 1),
        _scale(1e3, longest + 1),
        _scale(0.1, -longest),
        _scale(1.0, -longest - 1),
        _fill("tiny", "max"),
    ]


def _extremes() -> list[Change]:
    return [_one(number, None) for number in ("max", "min", np.inf, -np.inf, np.nan)]


def _value(dtype: np.dtype, of_float: Any, of_integer: Any) -> Any:
    """What an edge is in a dtype; None: nothing."""
    if dtype.kind == "b":
        return None if of_integer is None else of_integer not in (0, "min")
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        if isinstance(of_integer, str):
            return getattr(ends, of_integer)
        return of_integer if of_integer is None else max(of_integer, ends.min)
    real = np.dtype(dtype.name.replace("complex64", "float32").replace("complex128", "float64"))
    return getattr(jnp.finfo(real), of_float) if isinstance(of_float, str) else of_float


def _fill(of_float: Any, of_integer: Any) -> Change:
    def change(row: Row, rng: np.random.Generator) -> Row:
        row[...] = _value(row.dtype, of_float, of_integer)
        return row

    return change


def _one(of_float: Any, of_integer: Any) -> Change:
    """One number among random ones, so that it can be told from its neighbours."""

    def change(row: Row, rng: np.random.Generator) -> Row:
        value = _value(row.dtype, of_float, of_integer)
        if value is not None:
            row[_somewhere(row, rng)] = value
        return row

    return change


def _scale(factor: float, index: int) -> Change:
    """Floats of another size; among integers one that is another index."""

    def change(row: Row, rng: np.random.Generator) -> Row:
        if row.dtype.kind in "iu":
            ends = np.iinfo(row.dtype)
            row[_somewhere(row, rng)] = min(max(index, ends.min), ends.max)
        elif row.dtype.kind != "b":
            row = row * np.asarray(factor, row.dtype)
        return row

    return change


def _somewhere(row: Row, rng: np.random.Generator) -> Any:
    return np.unravel_index(rng.integers(row.size), row.shape) if row.ndim else ...
