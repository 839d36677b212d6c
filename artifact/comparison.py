"""Whether an array is JAX's, within a tolerance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from artifact.manifest import Tolerance
from wire import dtypes

_EXACT = "iub"  # NumPy's kinds: integers, and truth values


class Difference(NamedTuple):
    """How an array differs from JAX's.

    Attributes:
        max_abs_err: The largest absolute difference; infinite where the shapes or dtypes differ,
            where a string isn't JAX's, or where one number is NaN and the other isn't.
        agrees: Whether each number is within the tolerance.
    """

    max_abs_err: float
    agrees: bool


_OTHER = Difference(float("inf"), False)


def difference(actual: np.ndarray, expected: np.ndarray, tolerance: Tolerance) -> Difference:
    """Compares an array with JAX's.

    Shape and dtype are the same. A NaN equals a NaN. The tolerance, `atol + rtol * |expected|`, is
    for finite numbers of floating point: integers, strings, truth values and infinities are the
    same or they differ.
    """
    names = dtypes.array_name(actual.dtype), dtypes.array_name(expected.dtype)
    if actual.shape != expected.shape or names[0] != names[1]:
        return _OTHER
    if "string" in names:
        return _OTHER if np.any(actual != expected) else Difference(0.0, True)
    if expected.dtype.kind in _EXACT:
        return _exact(actual, expected)
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    ours, theirs = actual.astype(wide), expected.astype(wide)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.asarray(np.abs(ours - theirs))
        allowed = np.asarray(tolerance.atol + tolerance.rtol * np.abs(theirs))
    errors[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0.0
    errors[np.isnan(errors)] = np.inf
    allowed[~np.isfinite(theirs)] = 0.0
    return Difference(float(errors.max(initial=0.0)), bool((errors <= allowed).all()))


def _exact(actual: np.ndarray, expected: np.ndarray) -> Difference:
    differs = actual != expected
    # As Python's integers, since 2^53 + 1 has no float.
    errors = np.abs(
        np.asarray(actual)[differs].astype(object) - np.asarray(expected)[differs].astype(object)
    )
    return Difference(float(errors.max(initial=0)), not differs.any())
