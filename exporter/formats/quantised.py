"""How far a model of quantised numbers may be from JAX's: a bound that is stated, and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from artifact.comparison import largest_finite, widened
from exporter.errors import CheckFailed

Arrays = Mapping[str, np.ndarray]

# Of an output's largest number, where the user gives no bound: what a network of a few layers
# keeps to, and what one that was damaged doesn't.
BOUNDS = {"float16": 0.01, "uint8": 0.1, "dynamic": 0.1, "int8": 0.2}


def check(where: str, kind: str, pairs: Sequence[tuple[Arrays, Arrays]], bound: float) -> float:
    """Checks that a quantised model's floats are near JAX's, and that its outputs are all there.

    Integers, such as a class, may be others where rounding decides: they aren't compared.

    Args:
        where: For messages, with a place for the output's name: `mnist: %s on wasm`.
        kind: How numbers are stored, for messages.
        pairs: The runtime's outputs by name, and JAX's, of each case.
        bound: Allowed, as a share of the output's largest number in all cases.

    Returns:
        The largest difference, as such a share.

    Raises:
        CheckFailed: an output is missing, or further away.
    """
    worst = 0.0
    for name, first in pairs[0][1].items():
        if any(name not in actual for actual, _ in pairs):
            raise CheckFailed(f"{where % name} is missing; it was not written")
        if first.dtype.kind in "iubSOU":
            continue
        largest = max(largest_finite(expected[name]) for _, expected in pairs)
        error = max(_apart(actual[name], expected[name]) for actual, expected in pairs)
        share = error / (largest or 1.0)
        if not share <= bound:
            raise CheckFailed(
                f"{where % name} is {share:.1%} of its largest number from JAX's with {kind} "
                f"numbers, more than {bound:.1%}; it was not written (allow more with --bound, or "
                "take float32)"
            )
        worst = max(worst, share)
    return worst


def _apart(actual: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference; infinite where shapes differ, or where one is NaN or infinite."""
    if actual.shape != expected.shape:
        return float("inf")
    ours, theirs = widened(actual), widened(expected)
    finite = np.isfinite(theirs)
    if (finite != np.isfinite(ours)).any():
        return float("inf")
    return float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0))
