"""Whether an array is JAX's, within a tolerance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from artifact.manifest import Tolerance

_STRINGS = "OSU"  # NumPy's kinds


class Difference(NamedTuple):
    """How an array differs from JAX's.

    Attributes:
        max_abs_err: The largest absolute difference; infinite where the shapes differ, where a
            string isn't JAX's, or where one number is NaN and the other isn't.
        agrees: Whether each number is within the tolerance.
    """

    max_abs_err: float
    agrees: bool


def difference(actual: np.ndarray, expected: np.ndarray, tolerance: Tolerance) -> Difference:
    """Compares an array with JAX's.

    A NaN equals a NaN. The tolerance, `atol + rtol * |expected|`, is for finite numbers: strings,
    truth values and infinities are the same or they differ.
    """
    if actual.shape != expected.shape:
        return Difference(float("inf"), False)
    kinds = actual.dtype.kind, expected.dtype.kind
    if any(kind in _STRINGS for kind in kinds):
        agrees = not np.any(actual != expected)
        return Difference(0.0 if agrees else float("inf"), agrees)
    wide = np.complex128 if "c" in kinds else np.float64
    ours, theirs = actual.astype(wide), expected.astype(wide)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.asarray(np.abs(ours - theirs))
        allowed = np.asarray(tolerance.atol + tolerance.rtol * np.abs(theirs))
    errors[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0.0
    errors[np.isnan(errors)] = np.inf
    allowed[~np.isfinite(theirs)] = 0.0
    if "b" in kinds:
        allowed[...] = 0.0
    return Difference(float(errors.max(initial=0.0)), bool((errors <= allowed).all()))
