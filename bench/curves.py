"""Latency over the offered rate, open loop: requests come when they come, whatever is answered.

Latencies run from the moment at which a request was meant to be sent, so that a server that stalls
is charged for all that it kept waiting (no coordinated omission).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.cases import Case
from bench.comparison import Comparison
from bench.journal import Journal
from bench.progress import Meter
from bench.subjects import EMBEDDED, Server

_SHORTEST_S, _LONGEST_S = 2.0, 5.0
_WANTED = 1000  # answers of a point, for its p99.9
_GUESS_S = 3.2  # of a point
_OURS = ("grpc", "v2-binary", "rest")
_KEPT_UP = 0.97  # of the offered rate, at least


def measure(
    comparison: Comparison,
    case: Case,
    capacities: Mapping[tuple[str, str], float],
    journal: Journal,
    meter: Meter,
) -> list[dict[str, Any]]:
    """Returns one entry a point, and keeps each in the journal.

    Args:
        comparison: The running servers.
        case: What is measured.
        capacities: Requests of one example a second that the closed loop has reached, by server and
            protocol.
        journal: Where points are kept.
        meter: Shows how far it is.
    """
    found = []
    for subject, protocol in comparison.working():
        if protocol not in shown_protocols(subject.name, comparison.protocols_of(subject)):
            continue
        capacity = capacities.get((subject.name, protocol), 0.0)
        if capacity <= 0:
            continue
        for share in case.shares:
            key = f"{case.model}/curve/{subject.name}/{protocol}/{share}"
            rate = capacity * share
            seconds = min(max(_WANTED / rate, _SHORTEST_S), _LONGEST_S)
            began = None
            if not journal.has(key):
                meter.tell(key)
                began = time.monotonic()
                with subject.awake():
                    figures = comparison.traffic.open(
                        subject, protocol, rate, case.curve_in_flight, seconds
                    )
                journal.keep(key, {"rate": rate, **figures.as_json()})
            meter.done(_GUESS_S, None if began is None else time.monotonic() - began)
            point = journal.once(key, dict)
            found.append({"subject": subject.name, "protocol": protocol, **point})
    return found


def shown_protocols(name: str, protocols: Sequence[str]) -> tuple[str, ...]:
    """Returns the protocols whose curves are measured: some of ours, and of a peer its first."""
    if name != EMBEDDED:
        return tuple(protocols[:1])
    return tuple(protocol for protocol in _OURS if protocol in protocols) or tuple(protocols)


def guess(case: Case, servers: Sequence[Server]) -> float:
    """Returns the seconds that all curves may take."""
    rows = sum(len(shown_protocols(server.name, server.protocols)) for server in servers)
    return rows * len(case.shares) * _GUESS_S


def knee(points: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Returns the point at the knee of a curve: the most answers for their p99.

    Source: L. Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in
    computer communications" (1979): the knee is where throughput over delay is greatest. Only
    points that the server kept up with count.
    """
    kept = [
        point
        for point in points
        if point["p99_ms"] and point["examples_per_s"] >= _KEPT_UP * point["rate"]
    ]
    return max(kept, key=lambda point: point["examples_per_s"] / point["p99_ms"], default=None)
