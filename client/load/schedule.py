"""When each request is meant to start."""

from __future__ import annotations

import math
from time import perf_counter

import numpy as np

from client.load.plan import LoadPlan


class Schedule:
    """Hands out intended starts, on the clock of `time.perf_counter`, until the run's end.

    Attributes:
        measured_from: End of the warm-up.
        end: No request starts after it; the last answer that was asked for brings it forward.
    """

    def __init__(self, plan: LoadPlan, start: float):
        self.measured_from = start + plan.warmup
        self.end = self.measured_from + plan.duration
        self._starts = None if plan.rate is None else start + _offsets(plan, plan.rate)
        self._next = 0
        self._missing = plan.answers

    def take(self) -> float | None:
        """Returns the next intended start: now in the closed loop; None when the run is over."""
        now = perf_counter()
        if now >= self.end:
            return None
        if self._starts is None:
            return now
        if self._next == len(self._starts):
            return None
        self._next += 1
        return float(self._starts[self._next - 1])

    def answered(self, now: float) -> None:
        """Counts an answer that came at a moment; the last that was asked for ends the run."""
        if self._missing is None or now < self.measured_from:
            return
        self._missing -= 1
        if self._missing == 0:
            self.end = min(self.end, math.nextafter(now, math.inf))  # the answer is part of it

    @property
    def is_short(self) -> bool:
        """Whether fewer answers have come than were asked for."""
        return self._missing is not None and self._missing > 0

    def left(self) -> np.ndarray:
        """Returns the intended starts that nobody took: no request was free when they came."""
        if self._starts is None:
            return np.zeros(0)
        return self._starts[self._next :]


def _offsets(plan: LoadPlan, rate: float) -> np.ndarray:
    total = plan.warmup + plan.duration
    count = int(total * rate)
    if not plan.poisson:
        return np.arange(count) / rate
    gaps = np.random.default_rng(0).exponential(1 / rate, count + 6 * int(count**0.5) + 16)
    offsets = np.cumsum(gaps)
    return offsets[offsets < total]
