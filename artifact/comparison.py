"""Whether an array is JAX's, within a tolerance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from artifact.manifest import Tolerance
from wire import dtypes

_EXACT = "iub"  # NumPy's kinds: integers, and truth values
# Of an output whose numbers are all small, `atol` counts less, down to this share of it.
_LEAST_SCALE = 1e-2


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


def difference(
    actual: np.ndarray,
    expected: np.ndarray,
    tolerance: Tolerance,
    leeway: np.ndarray | None = None,
) -> Difference:
    """Compares an array with JAX's.

    Shape and dtype are the same. A NaN equals a NaN. The tolerance is for finite numbers of
    floating point: integers, strings, truth values and infinities are the same or they differ.

    Args:
        actual: What a runtime answers.
        expected: JAX's answer.
        tolerance: See `Tolerance`.
        leeway: Of the same shape: how much further each number may be off, because JAX's own
            answer moves as far. Where it is infinite JAX has no answer, and nothing is compared;
            where it isn't zero, integers aren't.
    """
    if not same_kind(actual, expected):
        return _OTHER
    if dtypes.array_name(expected.dtype) == "string":
        return _OTHER if np.any(actual != expected) else Difference(0.0, True)
    if expected.dtype.kind in _EXACT:
        return _exact(actual, expected, leeway)
    ours, theirs = widened(actual), widened(expected)
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.asarray(np.abs(ours - theirs))
        allowed = np.asarray(
            absolute_tolerance(theirs, tolerance) + tolerance.rtol * np.abs(theirs)
        )
    errors[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0.0
    errors[np.isnan(errors)] = np.inf
    allowed[~np.isfinite(theirs)] = 0.0
    if leeway is not None:
        allowed = allowed + leeway
        errors[np.isinf(leeway)] = 0.0
    return Difference(float(errors.max(initial=0.0)), bool((errors <= allowed).all()))


def same_kind(actual: np.ndarray, expected: np.ndarray) -> bool:
    """Tells whether two arrays have the same shape and dtype; all kinds of strings are one."""
    names = dtypes.array_name(actual.dtype), dtypes.array_name(expected.dtype)
    return actual.shape == expected.shape and names[0] == names[1]


def absolute_tolerance(expected: np.ndarray, tolerance: Tolerance) -> float:
    """Returns the absolute tolerance for an array: less than `atol` where all numbers are small."""
    return tolerance.atol * min(max(largest_finite(expected), _LEAST_SCALE), 1.0)


def largest_finite(array: np.ndarray) -> float:
    """Returns the absolute value of the largest finite number; 0 where there is none."""
    sizes = np.abs(widened(array))
    return float(sizes.max(initial=0.0, where=np.isfinite(sizes)))


def widened(array: np.ndarray) -> np.ndarray:
    """Returns numbers as float64 or complex128, in which differences lose nothing."""
    array = np.asarray(array)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def describe(actual: np.ndarray, expected: np.ndarray, tolerance: Tolerance) -> str:
    """Returns in words how an array differs from JAX's: `differs from JAX by 3.1e-02 (rtol …)`."""
    if actual.shape != expected.shape:
        return f"has shape {list(actual.shape)}, JAX's has {list(expected.shape)}"
    if not same_kind(actual, expected):
        ours, theirs = (dtypes.array_name(array.dtype) for array in (actual, expected))
        return f"has dtype {ours}, JAX's has {theirs}"
    if expected.dtype.kind in _EXACT + "OSU":
        differs = np.asarray(actual != expected)
        where = tuple(int(axis[0]) for axis in np.nonzero(np.atleast_1d(differs)))
        ours, theirs = (np.atleast_1d(array)[where] for array in (actual, expected))
        return (
            f"isn't JAX's in {int(differs.sum())} of {differs.size} values, which have to be the "
            f"same: {ours!s} instead of {theirs!s} at {list(where)}"
        )
    found = difference(actual, expected, tolerance)
    if np.isinf(found.max_abs_err):
        finite = [np.isfinite(widened(array)) for array in (actual, expected)]
        count = int((finite[0] != finite[1]).sum())
        if count:
            return f"is NaN or infinite where JAX's isn't, or the reverse, in {count} values"
        return "has other NaN or infinities than JAX's"
    return (
        f"differs from JAX by {found.max_abs_err:.1e} "
        f"(rtol {tolerance.rtol:.0e}, atol {tolerance.atol:.0e})"
    )


def _exact(actual: np.ndarray, expected: np.ndarray, leeway: np.ndarray | None) -> Difference:
    differs = np.asarray(actual != expected)
    if leeway is not None:
        differs &= leeway == 0
    # As Python's integers, since 2^53 + 1 has no float.
    errors = np.abs(
        np.asarray(actual)[differs].astype(object) - np.asarray(expected)[differs].astype(object)
    )
    return Difference(float(errors.max(initial=0)), not differs.any())
