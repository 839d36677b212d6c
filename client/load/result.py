"""What a run measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from client.latency import milliseconds
from client.load.caller import EXPIRED
from client.load.plan import LoadPlan


@dataclass(frozen=True)
class Result:
    """Figures of the measured time, the warm-up left out.

    Attributes:
        version: The version that was served when the run began.
        latencies: Seconds of each request that was meant to start in the measured time, and was
            answered or timed out; one that timed out has at least its timeout. In the open loop
            they run from the intended start, and requests that never started are in it with the
            time they had waited when the run ended.
        completed: Answers that came in the measured time.
        errors: Requests by code that weren't answered; MISMATCH for a wrong answer.
        unsent: Requests of the open loop that never started.
        generator_cpu: The generator's own CPU time, as a share of one core.
        sent_away: HTTP/2 connections that the server asked to be replaced (GOAWAY), the warm-up's
            included; what it hadn't taken was sent again, and is no error.
        queued: Requests that waited, the warm-up's included, since their connection had as many
            streams as the server allows; the wait is in their latency.
        measured_s: Seconds of the measured time; None: the plan's.
        answered: Answers in all, those of the warm-up and after the measured time included.
    """

    plan: LoadPlan
    version: int
    latencies: np.ndarray
    completed: int
    errors: dict[str, int]
    unsent: int
    generator_cpu: float
    sent_away: int = 0
    queued: int = 0
    measured_s: float | None = None
    answered: int = 0

    @property
    def seconds(self) -> float:
        """Seconds of the measured time."""
        return self.plan.duration if self.measured_s is None else self.measured_s

    @property
    def requests_per_second(self) -> float:
        """Answered requests per second."""
        return self.completed / self.seconds

    @property
    def examples_per_second(self) -> float:
        """Answered examples per second."""
        return self.requests_per_second * self.plan.batch_size

    @property
    def timed_out(self) -> int:
        """Requests that got no answer in time; they are in the latencies."""
        return self.errors.get(EXPIRED, 0)

    @property
    def ok(self) -> bool:
        """Whether there were answers and no errors."""
        return self.completed > 0 and not self.errors

    def percentile_ms(self, percentile: float) -> float | None:
        """Returns a percentile of the latencies in milliseconds; None without an answer."""
        return milliseconds(self.latencies, percentile) if len(self.latencies) else None

    def as_json(self) -> dict[str, Any]:
        """Returns the figures as one flat object."""
        plan = self.plan
        return {
            "model": plan.spec.model,
            "version": self.version,
            "api": plan.endpoint.api,
            "loop": "closed" if plan.rate is None else "open",
            "rate": plan.rate,
            "concurrency": plan.concurrency,
            "connections": plan.connections or plan.concurrency,
            "batch_size": plan.batch_size,
            "duration_s": round(self.seconds, 3),
            "completed": self.completed,
            "requests_per_s": round(self.requests_per_second, 2),
            "examples_per_s": round(self.examples_per_second, 2),
            **{
                f"{name}_ms": None if value is None else round(value, 4)
                for name, value in self.percentiles().items()
            },
            "errors": self.errors,
            "timed_out": self.timed_out,
            "unsent": self.unsent,
            "sent_away": self.sent_away,
            "queued": self.queued,
            "generator_cpu": round(self.generator_cpu, 3),
            "ok": self.ok,
        }

    def percentiles(self) -> dict[str, float | None]:
        """Returns p50, p90, p99, p99.9 and the maximum in milliseconds."""
        names = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "max": 100.0}
        return {name: self.percentile_ms(p) for name, p in names.items()}
