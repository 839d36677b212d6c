"""Medians, spreads and ratios of measurements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench import protocols
from bench.cases import Load

Measurement = Mapping[str, Any]


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
    """A server under a load, by a protocol.

    Attributes:
        ratio: Examples a second to the limit's of the same round and batch size: the better of one
            and two callers.
        best_ratio: To the limit at the batch size that suits it best.
        cpu_ratio: The limit's CPU time an example to that of server and generator together: what
            the ratio would be on a machine that both keep fully busy.
        server_cpu_us: The server's CPU time an example; None for one that runs elsewhere.
        added_ms: p50 above that of one caller in the limit.
        slow: Where its windows ended by the ceiling: answers and seconds, of all rounds.
        errors: Requests that failed, of all rounds.
    """

    server: str
    protocol: str
    load: Load
    examples_per_s: Spread
    ratio: Spread
    best_ratio: Spread
    cpu_ratio: Spread
    server_cpu_us: Spread | None
    p50_ms: Spread | None
    p99_ms: Spread | None
    added_ms: Spread | None
    slow: tuple[int, float] | None
    errors: int
    foreign_cpu: float


@dataclass(frozen=True)
class Cost:
    """How many times as much `--exact` takes under a load, by round.

    Attributes:
        time: Of the time an example.
        cpu: Of the CPU time an example, server and generator together.
    """

    protocol: str
    load: Load
    time: Spread
    cpu: Spread


def spread(values: Iterable[float]) -> Spread:
    """Returns the median and the quartiles."""
    low, median, high = np.percentile(list(values), [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def rows(case: Mapping[str, Any]) -> list[Row]:
    """Returns a row for each server, protocol and load of a case, ratios taken within rounds."""
    limit = _Limits(case["limit"])
    groups: dict[tuple[str, str, Load], list[Measurement]] = defaultdict(list)
    for one in case["closed"]:
        load = Load(one["batch_size"], one["in_flight"])
        groups[one["server"], one["protocol"], load].append(one)
    found = [_row(key, group, limit) for key, group in groups.items()]
    return sorted(found, key=_order)


def _row(key: tuple[str, str, Load], group: Sequence[Measurement], limit: _Limits) -> Row:
    server, protocol, load = key
    size = load.batch_size
    answered = [m for m in group if m["p50_ms"] is not None]
    slow = [m for m in group if m["is_slow"]]
    return Row(
        server,
        protocol,
        load,
        spread(m["examples_per_s"] for m in group),
        spread(m["examples_per_s"] / limit.at(m["round"], size) for m in group),
        spread(m["examples_per_s"] / limit.best(m["round"]) for m in group),
        spread(limit.cpu(m["round"], size) / m["cpu_us"] for m in group),
        _maybe(m["server_cpu_us"] for m in group),
        _maybe(m["p50_ms"] for m in answered),
        _maybe(m["p99_ms"] for m in answered),
        _maybe(m["p50_ms"] - limit.alone(m["round"], size) for m in answered),
        (sum(m["answers"] for m in slow), sum(m["seconds"] for m in slow)) if slow else None,
        sum(sum(m["errors"].values()) for m in group),
        float(np.median([m["foreign_cpu"] for m in group])),
    )


class _Limits:
    """The limit's figures by round."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._by_size: dict[tuple[int, int], list[Measurement]] = defaultdict(list)
        self._by_round: dict[int, list[Measurement]] = defaultdict(list)
        for one in measurements:
            self._by_size[one["round"], one["batch_size"]].append(one)
            self._by_round[one["round"]].append(one)

    def at(self, number: int, batch_size: int) -> float:
        return max(m["examples_per_s"] for m in self._by_size[number, batch_size])

    def best(self, number: int) -> float:
        return max(m["examples_per_s"] for m in self._by_round[number])

    def cpu(self, number: int, batch_size: int) -> float:
        return min(m["cpu_us"] for m in self._by_size[number, batch_size])

    def alone(self, number: int, batch_size: int) -> float:
        found: float
        (found,) = (m["p50_ms"] for m in self._by_size[number, batch_size] if m["callers"] == 1)
        return found


def limits(case: Mapping[str, Any]) -> dict[tuple[int, int], Spread]:
    """Returns the limit's examples per second by batch size and callers."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for one in case["limit"]:
        found[one["batch_size"], one["callers"]].append(one["examples_per_s"])
    return {key: spread(values) for key, values in sorted(found.items())}


def best_of(found: Sequence[Row], load: Load) -> list[Row]:
    """Returns each server's best protocol under a load, the fastest server first."""
    best: dict[str, Row] = {}
    for row in found:
        if row.load != load:
            continue
        other = best.get(row.server)
        if other is None or row.examples_per_s.median > other.examples_per_s.median:
            best[row.server] = row
    return sorted(best.values(), key=lambda row: -row.examples_per_s.median)


def cheapest(found: Sequence[Row]) -> list[Row]:
    """Returns each server's and protocol's load that takes its least CPU time an example."""
    best: dict[tuple[str, str], tuple[float, Row]] = {}
    for row in found:
        if row.server_cpu_us is None:
            continue
        key, cpu = (row.server, row.protocol), row.server_cpu_us.median
        if key not in best or cpu < best[key][0]:
            best[key] = cpu, row
    return [row for _, row in sorted(best.values(), key=lambda pair: pair[0])]


def costs_of_exact(closed: Sequence[Measurement], plain: str, exact: str) -> list[Cost]:
    """Returns what `--exact` takes, to what the same server takes without it in the same round.

    Args:
        closed: Measurements of both.
        plain: The name of the server without the flag.
        exact: That of the server with it.
    """
    pairs: dict[tuple[str, Load], dict[int, dict[str, Measurement]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for one in closed:
        key = (one["protocol"], Load(one["batch_size"], one["in_flight"]))
        pairs[key][one["round"]][one["server"]] = one
    found = []
    for (protocol, load), numbers in pairs.items():
        both = [(m[plain], m[exact]) for m in numbers.values() if plain in m and exact in m]
        if both:
            time = spread(p["examples_per_s"] / e["examples_per_s"] for p, e in both)
            cpu = spread(e["cpu_us"] / p["cpu_us"] for p, e in both)
            found.append(Cost(protocol, load, time, cpu))
    return sorted(
        found, key=lambda c: (protocols.rank(c.protocol), c.load.batch_size, c.load.in_flight)
    )


def _maybe(values: Iterable[float | None]) -> Spread | None:
    there = [value for value in values if value is not None]
    return spread(there) if there else None


def _order(row: Row) -> tuple[int, int, int, float]:
    return (
        row.load.batch_size,
        row.load.in_flight,
        protocols.rank(row.protocol),
        -row.examples_per_s.median,
    )
