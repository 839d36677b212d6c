"""One equation of a program, as the rules see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporter.trace.rows.batch import Batch, Mixes

Shape = tuple[Any, ...]


@dataclass(frozen=True)
class Operation:
    """An equation whose operands keep rows apart.

    Attributes:
        batch: The batch's size.
        params: The primitive's.
        inputs: Shapes of the operands.
        outputs: Shapes of the results.
        axes: Of the operands with rows: the axis which has them; None of the others.
        dtypes: Of the operands.
    """

    batch: Batch
    params: Mapping[str, Any]
    inputs: Sequence[Shape]
    outputs: Sequence[Shape]
    axes: Sequence[int | None]
    dtypes: Sequence[Any]

    @property
    def with_rows(self) -> list[tuple[Shape, int]]:
        """Shape and batch axis of the operands that have rows."""
        pairs = zip(self.inputs, self.axes, strict=True)
        return [(shape, axis) for shape, axis in pairs if axis is not None]

    def only(self) -> tuple[Shape, int]:
        """Returns shape and batch axis of the one operand that has rows.

        Raises:
            Mixes: there is none, or several have.
        """
        if len(self.with_rows) != 1:
            raise Mixes("makes rows of what all share, or joins them")
        return self.with_rows[0]

    @property
    def shared(self) -> list[Shape]:
        """Shapes of the operands without rows."""
        return [s for s, axis in zip(self.inputs, self.axes, strict=True) if axis is None]

    def expect(self, index: int, axis: int) -> None:
        """Insists on the axis with the rows in a result.

        Raises:
            Mixes: it is another one.
        """
        if self.batch.axis(self.outputs[index]) != axis:
            raise Mixes("moves rows to another axis than expected")

    def expect_all(self, axis: int) -> None:
        """Insists on the axis with the rows in all results."""
        for index in range(len(self.outputs)):
            self.expect(index, axis)
