"""Whether an array is JAX's, within a tolerance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from artifact.manifest import Tolerance


class Difference(NamedTuple):
    """How an array differs from JAX's.

    Attributes:
        max_abs_err: The largest absolute difference; infinite where the shapes differ, or where
            one number is NaN and the other isn't.
        agrees: Whether each number is within the tolerance.
    """

    max_abs_err: float
    agrees: bool


def difference(actual: np.ndarray, expected: np.ndarray, tolerance: Tolerance) -> Difference:
    """Compares an array with JAX's; a NaN equals a NaN, a string only the same string."""
    if actual.shape != expected.shape:
        return Difference(float("inf"), False)
    if expected.dtype.kind == "O":
        agrees = bool(np.array_equal(actual, expected))
        return Difference(0.0 if agrees else float("inf"), agrees)
    wide = np.complex128 if np.iscomplexobj(expected) else np.float64
    ours, theirs = actual.astype(wide), expected.astype(wide)
    with np.errstate(invalid="ignore"):
        errors = np.asarray(np.abs(ours - theirs))
    errors[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0.0
    errors[np.isnan(errors)] = np.inf
    agrees = np.allclose(ours, theirs, tolerance.rtol, tolerance.atol, equal_nan=True)
    return Difference(float(errors.max(initial=0.0)), bool(agrees))
