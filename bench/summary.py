"""Medians, spreads and ratios of measurements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.comparison import LIMIT

Measurement = Mapping[str, Any]

# The subjects whose ratio is what `--exact` costs.
PLAIN, EXACT = "embedded, xla", "embedded, xla, --exact"


@dataclass(frozen=True)
class Spread:
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Row:
    """A subject in a cell.

    Attributes:
        ratio: To the limit of the same round: the better of one and two callers.
        cpu_ratio: The limit's CPU time an example to that of server and generator together: what
            the ratio would be on a machine that both keep fully busy.
        added_ms: p50 above that of one caller in the limit.
    """

    subject: str
    api: str
    batch_size: int
    concurrency: int
    examples_per_s: Spread
    ratio: Spread
    cpu_ratio: Spread
    p50_ms: Spread
    p99_ms: Spread
    added_ms: Spread
    errors: int
    foreign_cpu: float


@dataclass(frozen=True)
class Cost:
    """How many times as much `--exact` takes in a cell, by round.

    Attributes:
        time: Of the time an example.
        cpu: Of the CPU time an example, server and generator together.
    """

    api: str
    batch_size: int
    concurrency: int
    time: Spread
    cpu: Spread


def spread(values: Iterable[float]) -> Spread:
    """Returns the median and the quartiles."""
    low, median, high = np.percentile(list(values), [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def rows(measurements: Sequence[Measurement]) -> list[Row]:
    """Returns a row for each subject and cell, ratios taken within rounds."""
    limit: dict[tuple[int, int], float] = {}
    alone: dict[tuple[int, int], float] = {}
    cpu: dict[tuple[int, int], float] = {}
    groups: dict[tuple[str, str, int, int], list[Measurement]] = defaultdict(list)
    for one in measurements:
        key = (one["round"], one["batch_size"])
        if one["subject"] == LIMIT:
            limit[key] = max(limit.get(key, 0.0), one["examples_per_s"])
            cpu[key] = min(cpu.get(key, np.inf), one["cpu_us"])
            if one["concurrency"] == 1:
                alone[key] = one["p50_ms"]
        else:
            cell = (one["subject"], one["api"], one["batch_size"], one["concurrency"])
            groups[cell].append(one)
    return [
        Row(
            *cell,
            spread(m["examples_per_s"] for m in group),
            spread(m["examples_per_s"] / limit[m["round"], m["batch_size"]] for m in group),
            spread(cpu[m["round"], m["batch_size"]] / m["cpu_us"] for m in group),
            spread(m["p50_ms"] for m in group),
            spread(m["p99_ms"] for m in group),
            spread(m["p50_ms"] - alone[m["round"], m["batch_size"]] for m in group),
            sum(m["errors"] for m in group),
            float(np.median([m["foreign_cpu"] for m in group])),
        )
        for cell, group in groups.items()
    ]


def limits(measurements: Sequence[Measurement]) -> dict[tuple[int, int], Spread]:
    """Returns the limit's examples per second by batch size and callers."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for one in measurements:
        if one["subject"] == LIMIT:
            found[one["batch_size"], one["concurrency"]].append(one["examples_per_s"])
    return {key: spread(values) for key, values in found.items()}


def costs_of_exact(measurements: Sequence[Measurement]) -> list[Cost]:
    """Returns what `--exact` takes, to what the same server takes without it in the same round."""
    plain: dict[tuple[Any, ...], Measurement] = {}
    exact: dict[tuple[Any, ...], Measurement] = {}
    for one in measurements:
        found = {PLAIN: plain, EXACT: exact}.get(one["subject"])
        if found is not None:
            found[one["api"], one["batch_size"], one["concurrency"], one["round"]] = one
    pairs: dict[tuple[str, int, int], list[tuple[Measurement, Measurement]]] = defaultdict(list)
    for key in sorted(plain.keys() & exact.keys()):
        api, batch_size, concurrency, _ = key
        pairs[api, batch_size, concurrency].append((plain[key], exact[key]))
    return [
        Cost(
            *cell,
            spread(p["examples_per_s"] / e["examples_per_s"] for p, e in group),
            spread(e["cpu_us"] / p["cpu_us"] for p, e in group),
        )
        for cell, group in pairs.items()
    ]
