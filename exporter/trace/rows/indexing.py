"""When slices, gathers and scatters keep rows apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exporter.trace.rows.batch import Mixes
from exporter.trace.rows.operation import Operation


def reverse(op: Operation) -> None:
    """Turns axes round."""
    _, axis = op.only()
    if axis in op.params["dimensions"]:
        raise Mixes("reverses the rows")
    op.expect(0, axis)


def slice_(op: Operation) -> None:
    """A part of some axes: of that with the rows, all."""
    shape, axis = op.only()
    strides = op.params["strides"]
    is_whole = (
        op.params["start_indices"][axis] == 0
        and op.params["limit_indices"][axis] == shape[axis]
        and (strides is None or strides[axis] == 1)
    )
    if not is_whole:
        raise Mixes("takes some of the rows")
    op.expect(0, axis)


def dynamic_slice(op: Operation) -> None:
    """A part of some axes that starts anywhere; where all places are taken, at the first."""
    axis = op.axes[0]
    if axis is None or op.params["slice_sizes"][axis] != op.inputs[0][axis]:
        raise Mixes("takes some of the rows")
    op.expect(0, axis)


def dynamic_update_slice(op: Operation) -> None:
    """A part of some axes is replaced: in all rows, each by its own."""
    axis = op.axes[0]
    if axis is None or op.axes[1] != axis or op.inputs[1][axis] != op.inputs[0][axis]:
        raise Mixes("replaces some of the rows")
    op.expect(0, axis)


def gather(op: Operation) -> None:
    """Windows of an operand, which start at indices.

    Rows may be in the indices (each row looks up in the same table), in the operand (each row is
    looked up in at the same places), or in both as a batching dimension (each row in its own).
    """
    numbers, sizes = op.params["dimension_numbers"], op.params["slice_sizes"]
    operand, indices = op.axes
    result = range(len(op.outputs[0]))
    if indices is None:
        assert operand is not None
        kept = _left(op, numbers.collapsed_slice_dims, numbers.operand_batching_dims)
        _window(op, operand, kept, numbers.start_index_map)
        if sizes[operand] != op.inputs[0][operand]:
            raise Mixes("takes some of the rows")
        op.expect(0, numbers.offset_dims[kept.index(operand)])
        return
    if indices == len(op.inputs[1]) - 1:
        raise Mixes("looks up at an index made of rows")
    if operand is not None:
        pairs = zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
        if (operand, indices) not in pairs:
            raise Mixes("looks up in other rows")
    op.expect(0, [axis for axis in result if axis not in numbers.offset_dims][indices])


def scatter(op: Operation) -> None:
    """Puts windows into an operand at indices: the same ones in all rows, or each row's own."""
    numbers = op.params["dimension_numbers"]
    operand, indices, updates = op.axes
    if operand is None or updates is None:
        raise Mixes("puts rows into a shared array, or the same values into some rows")
    if indices is None:
        kept = _left(op, numbers.inserted_window_dims, numbers.operand_batching_dims)
        _window(op, operand, kept, numbers.scatter_dims_to_operand_dims)
        wanted = numbers.update_window_dims[kept.index(operand)]
        if op.inputs[2][updates] != op.inputs[0][operand]:
            raise Mixes("replaces some of the rows")
    else:
        pairs = zip(
            numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True
        )
        if (operand, indices) not in pairs:
            raise Mixes("puts into other rows")
        outer = [n for n in range(len(op.inputs[2])) if n not in numbers.update_window_dims]
        wanted = outer[indices]
    if updates != wanted:
        raise Mixes("puts into other rows")
    op.expect(0, operand)


def _left(op: Operation, *dropped: Sequence[int]) -> list[int]:
    """The axes of the first operand without those that a window lacks."""
    return [a for a in range(len(op.inputs[0])) if not any(a in axes for axes in dropped)]


def _window(op: Operation, axis: int, kept: list[int], indexed: tuple[int, ...]) -> None:
    if axis not in kept or axis in indexed:
        raise Mixes("looks rows up by their number")


_SCATTERS = ("scatter", "scatter_add", "scatter_max", "scatter_min", "scatter_mul", "scatter_sub")

RULES: dict[str, Callable[[Operation], None]] = {
    # JAX writes some of them with a hyphen.
    **{name.replace("_", mark): scatter for name in _SCATTERS for mark in "_-"},
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "gather": gather,
    "slice": slice_,
}
