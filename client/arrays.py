"""Python values as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np


def to_array(value: Any) -> np.ndarray:
    """Converts as NumPy does, but keeps strings whole: NumPy's own types drop trailing NULs."""
    array = np.asarray(value)
    if array.dtype.kind in "SU" and not isinstance(value, np.ndarray):
        return np.array(value, object)
    return array
