"""What queues tell: who waits, how long, how much is executed at a time, what is refused."""

from __future__ import annotations

import weakref
from collections import Counter as Sums
from dataclasses import dataclass, field
from typing import Protocol

from server.telemetry.metrics import (
    Count,
    Counter,
    Distribution,
    Gauge,
    Histogram,
    Labels,
    Samples,
    exponential,
)

_LABELS = ("model", "signature")
_SECONDS = [0.0001 * 4**n for n in range(10)]  # 0.1 ms to 26 s


class Waiting(Protocol):
    """A queue, as far as it is told of."""

    rows: int
    calls: int


@dataclass(frozen=True)
class Kept:
    """Where one queue's numbers are kept.

    Attributes:
        full: Calls refused because too much waited.
        hopeless: Calls refused because their deadline couldn't be met.
        expired: Calls whose deadline passed while they waited.
    """

    waited: Distribution
    batch: Distribution
    full: Count
    hopeless: Count
    expired: Count


@dataclass
class QueueMetrics:
    """The metrics of all queues, by model and signature."""

    _queues: weakref.WeakKeyDictionary[Waiting, Labels] = field(
        default_factory=weakref.WeakKeyDictionary
    )

    def __post_init__(self) -> None:
        """Makes the metrics."""
        self._waited = Histogram(
            "model_queue_seconds", "Time that a call waits for its execution.", _LABELS, _SECONDS
        )
        self._batch = Histogram(
            "model_batch_rows", "Rows of an execution, without padding.", _LABELS,
            exponential(1, 2, 14),
        )  # fmt: skip
        self._refused = Counter(
            "model_queue_refusals_total",
            "Calls that were not executed: the queue was full, their deadline couldn't be met, "
            "or it passed while they waited.",
            (*_LABELS, "reason"),
        )
        self.all: list[Counter | Gauge | Histogram] = [
            Gauge("model_queue_rows", "Rows that wait.", _LABELS, lambda: self._sums("rows")),
            Gauge("model_queue_calls", "Calls that wait.", _LABELS, lambda: self._sums("calls")),
            self._waited,
            self._batch,
            self._refused,
        ]

    def keep(self, model: str, signature: str) -> Kept:
        """Returns where the numbers of a queue go."""
        reasons = ("full", "hopeless", "expired")
        return Kept(
            self._waited.of(model, signature),
            self._batch.of(model, signature),
            *(self._refused.of(model, signature, reason) for reason in reasons),
        )

    def watch(self, queue: Waiting, model: str, signature: str) -> None:
        """Tells what waits in a queue, as long as it lives."""
        self._queues[queue] = (model, signature)

    def _sums(self, name: str) -> Samples:
        """Versions of a model, such as the one that goes and the one that comes, are one."""
        sums: Sums[Labels] = Sums()
        for queue, labels in list(self._queues.items()):
            sums[labels] += getattr(queue, name)
        return sorted(sums.items())
