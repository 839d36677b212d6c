"""Side by side: every subject and the limit in every round, so that all share the weather."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.machine import CpuWatch
from bench.subjects import Limit, Subject
from bench.traffic import Cell, Traffic

LIMIT = "in-process JAX"
APIS = ("grpc", "rest")


@dataclass(frozen=True)
class Loads:
    """What is measured.

    Attributes:
        rounds: How often everything is.
        seconds: Each time.
        warmup: Seconds of the same load before.
        cells: Batch sizes and requests in flight.
    """

    rounds: int = 5
    seconds: float = 2.0
    warmup: float = 0.5
    cells: Sequence[tuple[int, int]] = ((1, 1), (1, 8), (1, 32), (16, 8), (16, 32), (128, 8))


def compare(
    subjects: Sequence[Subject],
    limit: Limit,
    traffic: Traffic,
    loads: Loads,
    tell: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Returns one entry a measurement: round, subject, api, batch_size, concurrency, figures."""
    found: list[dict[str, Any]] = []
    for subject in subjects:
        with subject.awake():
            for api in subject.ports:
                for batch_size, concurrency in loads.cells:
                    tell(f"warming up {subject.name}: {api}, batch {batch_size}")
                    traffic.check(subject, Cell(api, batch_size, concurrency))
    for number in range(loads.rounds):
        for batch_size in sorted({batch_size for batch_size, _ in loads.cells}):
            for callers in (1, 2):
                tell(f"round {number + 1}: limit, batch {batch_size}, {callers} callers")
                watch = CpuWatch()
                figures = limit.measure(batch_size, callers, loads.seconds)
                at = {"api": "", "batch_size": batch_size, "concurrency": callers}
                foreign = {"foreign_cpu": watch.used().foreign}
                found.append({"round": number, "subject": LIMIT, **at, **figures, **foreign})
            for concurrency in [c for b, c in loads.cells if b == batch_size]:
                # Another order each round: who comes first meets a cooler machine.
                for subject in [*subjects[number % len(subjects) :], *subjects][: len(subjects)]:
                    for api in [api for api in APIS if api in subject.ports]:
                        cell = Cell(api, batch_size, concurrency)
                        tell(f"round {number + 1}: {subject.name}, {asdict(cell)}")
                        with subject.awake():
                            measured = traffic.measure(subject, cell, loads.seconds, loads.warmup)
                        found.append(
                            {
                                "round": number,
                                "subject": subject.name,
                                **asdict(cell),
                                **asdict(measured),
                            }
                        )
    return found
