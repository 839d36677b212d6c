"""What happened to each request."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np


class Recorder:
    """Keeps start and end of every answered request, and the codes of the failed ones."""

    def __init__(self) -> None:
        self._starts = array("d")
        self._ends = array("d")
        self._failed: list[tuple[float, str]] = []

    def add(self, start: float, end: float, code: str) -> None:
        """Adds a request with its intended start, its end and gRPC's status name."""
        if code == "OK":
            self._starts.append(start)
            self._ends.append(end)
        else:
            self._failed.append((start, code))

    @property
    def answered(self) -> int:
        """Answered requests so far, the warm-up's included."""
        return len(self._ends)

    def latencies(self, measured_from: float) -> np.ndarray:
        """Returns the seconds of each request that was meant to start in the measured time."""
        starts, ends = np.array(self._starts), np.array(self._ends)
        return (ends - starts)[starts >= measured_from]

    def completed(self, measured_from: float, end: float) -> int:
        """Returns how many answers came in the measured time."""
        ends = np.array(self._ends)
        return int(((ends >= measured_from) & (ends < end)).sum())

    def errors(self, measured_from: float) -> dict[str, int]:
        """Returns how often each code came, of requests meant to start in the measured time."""
        return dict(Counter(code for start, code in self._failed if start >= measured_from))
