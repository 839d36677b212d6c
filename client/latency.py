"""Percentiles of latencies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 100.0)


def milliseconds(seconds: Sequence[float] | np.ndarray, percentile: float) -> float:
    """Returns a percentile in milliseconds: the smallest latency that so many don't exceed."""
    return 1e3 * float(np.percentile(np.asarray(seconds), percentile, method="inverted_cdf"))
