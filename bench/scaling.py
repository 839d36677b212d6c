"""How throughput grows with batch size, requests in flight and worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.subjects import Subject, embedded
from bench.traffic import Cell, Traffic

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64, 128)
_IN_FLIGHT = 8


def measure(
    version_dir: Path, traffic: Traffic, seconds: float, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Returns one entry a point: what grows, its value, the API, examples per second."""
    found = []
    for workers in sorted({1, min(os.cpu_count() or 1, 4)}):
        with ExitStack() as stack:
            flags = [f"--workers={workers}"] if workers > 1 else []
            subject = embedded(stack, f"{workers} workers", version_dir, *flags)
            found += _points(subject, traffic, workers, seconds, tell)
    return found


def _points(
    subject: Subject,
    traffic: Traffic,
    workers: int,
    seconds: float,
    tell: Callable[[str], None],
) -> list[dict[str, Any]]:
    cells = [("batch size", size, Cell("grpc", size, _IN_FLIGHT)) for size in BATCH_SIZES]
    for api in ("grpc", "rest"):
        cells += [("in flight", count, Cell(api, 1, count)) for count in CONCURRENCIES]
    found = []
    for grows, value, cell in cells:
        tell(f"{subject.name}: {cell.api}, batch {cell.batch_size}, {cell.concurrency} in flight")
        with subject.awake():
            figures = traffic.measure(subject, cell, seconds, 0.5)
        found.append(
            {
                "grows": grows,
                "value": value,
                "api": cell.api,
                "workers": workers,
                "examples_per_s": figures.examples_per_s,
                "p50_ms": figures.p50_ms,
                "foreign_cpu": figures.foreign_cpu,
            }
        )
    return found
