"""What happened to each request."""

from __future__ import annotations

import math
from array import array
from collections import Counter

import numpy as np

from client.load.caller import EXPIRED


class Recorder:
    """Keeps start and end of every request that was answered or timed out, and codes of failures.

    A request that timed out would have taken at least as long as it was given, so that is its
    latency: leaving it out would make a server look the better, the more it keeps waiting.
    """

    def __init__(self, timeout: float) -> None:
        """Takes the seconds that a request is given."""
        self._timeout = timeout
        self._late: list[tuple[float, float]] = []
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
            if code == EXPIRED:
                self._late.append((start, max(end - start, self._timeout)))

    @property
    def answered(self) -> int:
        """Answered requests so far, the warm-up's included."""
        return len(self._ends)

    @property
    def last_answer(self) -> float:
        """The moment just after the last answer; 0 before there is one."""
        return math.nextafter(self._ends[-1], math.inf) if self._ends else 0.0

    def latencies(self, measured_from: float) -> np.ndarray:
        """Returns the seconds of each request that was meant to start in the measured time."""
        starts, ends = np.array(self._starts), np.array(self._ends)
        late = [seconds for start, seconds in self._late if start >= measured_from]
        return np.concatenate([(ends - starts)[starts >= measured_from], late])

    def completed(self, measured_from: float, end: float) -> int:
        """Returns how many answers came in the measured time."""
        ends = np.array(self._ends)
        return int(((ends >= measured_from) & (ends < end)).sum())

    def errors(self, measured_from: float) -> dict[str, int]:
        """Returns how often each code came, of requests meant to start in the measured time."""
        return dict(Counter(code for start, code in self._failed if start >= measured_from))
