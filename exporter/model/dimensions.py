"""Open dimensions: their names, the sizes that they may have, and sizes to try them at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from exporter.errors import UserError
from exporter.model import expressions
from exporter.model.expressions import ExpressionError
from exporter.model.model import TensorSpec

# Sizes to try a dimension other than the batch at, where no real input shows one.
_SIZES = (16, 7, 24, 5, 12, 8, 4, 3, 2, 1, 32, 48, 64, 96, 128, 256, 512, 1024)


def batch_symbol(specs: Iterable[TensorSpec]) -> str | None:
    """Returns the name of the first input's open leading dimension, if there is one."""
    leading = [spec.shape[0] for spec in specs if spec.shape]
    return next((size for size in leading if isinstance(size, str)), None)


def allowed(sizes: Mapping[str, int], constraints: Sequence[str]) -> bool:
    """Tells whether the sizes of open dimensions keep to the constraints that speak of them alone.

    Raises:
        UserError: a constraint can't be read.
    """
    return all(_holds(constraint, sizes) for constraint in constraints)


def choose(
    names: Sequence[str], known: Mapping[str, int], constraints: Sequence[str], *, start: int = 0
) -> dict[str, int]:
    """Chooses sizes for open dimensions.

    Args:
        names: The dimensions.
        known: Sizes that are given, such as the batch's.
        constraints: What all sizes keep to.
        start: Another number gives other sizes, where the constraints leave a choice.

    Returns:
        The known sizes and the chosen ones.

    Raises:
        UserError: no sizes were found that keep to the constraints.
    """
    start %= len(_SIZES) // 2
    candidates = [*_SIZES[start:], *_SIZES[:start]]
    found = next(_assignments(list(names), dict(known), constraints, candidates), None)
    if found is None:
        raise UserError(
            f"no sizes of {', '.join(names)} from 1 to {max(_SIZES)} keep to "
            f"{' and '.join(constraints)}; give example inputs that do"
        )
    return found


def _assignments(
    names: list[str], sizes: dict[str, int], constraints: Sequence[str], candidates: Sequence[int]
) -> Iterator[dict[str, int]]:
    if not names:
        yield sizes
        return
    for size in candidates:
        extended = {**sizes, names[0]: size}
        if allowed(extended, constraints):
            yield from _assignments(names[1:], extended, constraints, candidates)


def names(constraint: str) -> set[str]:
    """Returns the dimensions that a constraint speaks of.

    Raises:
        UserError: it can't be read.
    """
    with _readable(constraint):
        return expressions.names(constraint)


def _holds(constraint: str, sizes: Mapping[str, int]) -> bool:
    if names(constraint) - sizes.keys():
        return True  # of a dimension that has no size yet
    with _readable(constraint):
        return bool(expressions.evaluate(constraint, sizes))


@contextlib.contextmanager
def _readable(constraint: str) -> Iterator[None]:
    try:
        yield
    except ExpressionError as error:
        raise UserError(
            f"constraint {constraint!r}: {error}; write it like 's <= 512' or 'mod(s, 8) == 0'"
        ) from None
