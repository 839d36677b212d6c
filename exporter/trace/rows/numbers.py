"""Rows that are looked up by their own number: `x[jnp.arange(x.shape[0]), columns]`.

A row's number mixes rows, for it says where in the batch a row stands. But what is looked up there
by it is the row itself. So it is noted which values are row numbers, through what JAX makes of them
on their way into a gather or a scatter, and only there they are allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from exporter._compat.jax import Literal
from exporter.trace.rows.batch import Batch, shape_of

# In these a batch's numbers fit.
_WIDE = ("int32", "int64", "uint32", "uint64")


@dataclass(frozen=True)
class RowNumbers:
    """An array that has, at each place of the batch's axis, the number of the place."""

    axis: int


@dataclass(frozen=True)
class Never:
    """An array that is false everywhere."""


@dataclass(frozen=True)
class Indices:
    """Index vectors, in the last axis, with the row's number as one component.

    The others are each row's own, or shared.
    """

    axis: int
    component: int


Fact = RowNumbers | Never | Indices | None


def learn(batch: Batch, equation: Any, facts: Sequence[Fact], mixed: Sequence[bool]) -> Fact:
    """Returns what an equation's only result is known to be.

    Args:
        batch: The batch's size.
        equation: The equation.
        facts: What is known of the operands.
        mixed: Which operands don't keep rows apart.
    """
    name, params = equation.primitive.name, equation.params
    if len(equation.outvars) != 1:
        return None
    shape = shape_of(equation.outvars[0])
    dtype = str(getattr(equation.outvars[0].aval, "dtype", ""))
    if name == "iota":
        axis = params["dimension"]
        return RowNumbers(axis) if dtype in _WIDE and shape[axis] == batch.size else None
    numbers = next((fact for fact in facts if isinstance(fact, RowNumbers)), None)
    if name == "select_n" and isinstance(facts[0], Never):
        return facts[1]
    if numbers is None:
        return None
    if name in ("mul", "add") and _others_are(equation, facts, 1 if name == "mul" else 0):
        return numbers
    if name == "convert_element_type" and dtype in _WIDE:
        return numbers
    if name == "lt" and facts[0] is numbers and _is(equation.invars[1], 0):
        return Never()
    if name == "broadcast_in_dim":
        return RowNumbers(params["broadcast_dimensions"][numbers.axis])
    if name == "concatenate":
        return _joined(equation, facts, mixed)
    return None


def looks_up_own_row(batch: Batch, equation: Any, facts: Sequence[Fact]) -> bool:
    """Tells whether a gather or scatter takes each row's place from the row's number.

    The other operands must keep rows apart.
    """
    name, params = equation.primitive.name.replace("-", "_"), equation.params
    if not (name == "gather" or name.startswith("scatter")) or not isinstance(facts[1], Indices):
        return False
    numbers, indices = params["dimension_numbers"], facts[1]
    shapes = [shape_of(variable) for variable in equation.invars]
    rows = batch.axis(shapes[0])
    if rows is None or shapes[0][rows] != batch.size or indices.axis == len(shapes[1]) - 1:
        return False
    is_gather = name == "gather"
    indexed = numbers.start_index_map if is_gather else numbers.scatter_dims_to_operand_dims
    single = numbers.collapsed_slice_dims if is_gather else numbers.inserted_window_dims
    if indexed[indices.component] != rows or rows not in single or numbers.operand_batching_dims:
        return False
    # The axis of the rows among those of the index vectors, in the windows' array.
    windows = shape_of(equation.outvars[0]) if is_gather else shapes[2]
    inner = numbers.offset_dims if is_gather else numbers.update_window_dims
    outer = [axis for axis in range(len(windows)) if axis not in inner]
    return batch.axis(windows) == outer[indices.axis]


def _joined(equation: Any, facts: Sequence[Fact], mixed: Sequence[bool]) -> Fact:
    """Index vectors out of columns of one component each, of which one is the row's number."""
    shapes = [shape_of(variable) for variable in equation.invars]
    last = len(shapes[0]) - 1
    places = [place for place, fact in enumerate(facts) if isinstance(fact, RowNumbers)]
    is_plain = (
        equation.params["dimension"] == last
        and all(shape[last] == 1 for shape in shapes)
        and len(places) == 1
        and not any(is_mixed for place, is_mixed in enumerate(mixed) if place != places[0])
    )
    if not is_plain:
        return None
    fact = facts[places[0]]
    assert isinstance(fact, RowNumbers)
    return Indices(fact.axis, places[0])


def _others_are(equation: Any, facts: Sequence[Fact], number: int) -> bool:
    return (
        all(
            isinstance(fact, RowNumbers) or _is(atom, number)
            for atom, fact in zip(equation.invars, facts, strict=True)
        )
        and sum(isinstance(fact, RowNumbers) for fact in facts) == 1
    )


def _is(atom: Any, number: int) -> bool:
    return isinstance(atom, Literal) and shape_of(atom) == () and atom.val == number
