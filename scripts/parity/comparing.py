"""Whether a runtime's answers are JAX's, and what differs where they aren't."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from artifact.manifest import Tolerance

Arrays = Mapping[str, np.ndarray]


def compare(
    actual: Arrays, expected: Arrays, tolerance: Tolerance, *, narrow: bool
) -> tuple[float, str]:
    """Compares outputs by name with JAX's.

    Written here once more, on purpose: the exporter's own comparison is under test, too.

    Args:
        actual: The runtime's.
        expected: JAX's.
        tolerance: For numbers of floating point; all others are the same or they differ.
        narrow: Whether the runtime has no integers narrower than int32 and no wider floats.

    Returns:
        The largest difference, and what differs: nothing where the text is empty.
    """
    if set(actual) != set(expected):
        return np.inf, f"outputs {', '.join(sorted(actual))}, not {', '.join(sorted(expected))}"
    largest = 0.0
    for name, array in actual.items():
        error, text = _difference(array, expected[name], tolerance, narrow)
        if text:
            return error, f"{name}: {text}"
        largest = max(largest, error)
    return largest, ""


def _difference(
    actual: np.ndarray, expected: np.ndarray, tolerance: Tolerance, narrow: bool
) -> tuple[float, str]:
    if narrow and expected.dtype.kind in "iu" and expected.dtype.itemsize <= 4:
        expected = expected.astype(np.int32)
    if actual.dtype != expected.dtype:
        return np.inf, f"dtype {actual.dtype}, not {expected.dtype}"
    if actual.shape != expected.shape:
        return np.inf, f"shape {list(actual.shape)}, not {list(expected.shape)}"
    if not actual.size:
        return 0.0, ""
    if expected.dtype.kind in "iub":
        differs = actual != expected
        errors = np.abs(actual.astype(float) - expected.astype(float))
    else:
        wide = np.complex128 if expected.dtype.kind == "c" else np.float64
        ours, theirs = actual.astype(wide), expected.astype(wide)
        with np.errstate(all="ignore"):
            same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
            errors = np.where(same, 0.0, np.abs(ours - theirs))
            close = errors <= tolerance.atol + tolerance.rtol * np.abs(theirs)
            differs = ~(same | (close & np.isfinite(theirs)))
    if not differs.any():
        return float(np.max(errors)), ""
    place = np.unravel_index(int(np.argmax(differs)), differs.shape)
    where = ",".join(map(str, place))
    count = f"{int(differs.sum())} of {differs.size} numbers"
    return np.inf, f"[{where}] is {actual[place]}, not {expected[place]} ({count} differ)"
