"""Figures as Markdown tables: what the results file says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench import curves, summary
from bench.cases import Load
from bench.protocols import TITLES
from bench.summary import Row, Spread

NOT_MEASURED = "Not measured in this run."
BUSY = 0.05  # share of the CPU that others may use before figures are marked
_RATE_LOADS = (Load(1, 32), Load(16, 8), Load(16, 32), Load(128, 8))


def table(head: Sequence[str], body: Iterable[Sequence[str]], left: int = 1) -> str:
    """Returns a table whose first `left` columns are text."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])


def shares(case: Mapping[str, Any], loads: Sequence[Load] = _RATE_LOADS) -> str:
    """Returns shares of the limit at the same batch size, a row a server and protocol."""
    rows = summary.rows(case)
    found = {(row.server, row.protocol, row.load): row for row in rows}
    names = list(dict.fromkeys((one["server"], one["protocol"]) for one in case["closed"]))
    head = ["server", "protocol", *(f"{x.batch_size} × {x.in_flight}" for x in loads)]
    body = [
        [name, TITLES[protocol], *(_share(found.get((name, protocol, x))) for x in loads)]
        for name, protocol in names
    ]
    return table(head, body, 2)


def best(case: Mapping[str, Any], loads: Sequence[Load]) -> str:
    """Returns each server's best protocol under loads, as shares of the best of all sizes."""
    rows = summary.rows(case)
    head = ["batch size × in flight", "server", "protocol", "examples/s", "of the best size"]
    head += ["of the same size", "p50 ms", "p99 ms"]
    body = [
        [
            f"{load.batch_size} × {load.in_flight}",
            row.server,
            TITLES[row.protocol],
            _number(row.examples_per_s.median),
            f"{row.best_ratio.median:.2f}",
            f"{row.ratio.median:.2f}",
            _ms(row.p50_ms),
            _ms(row.p99_ms),
        ]
        for load in loads
        for row in summary.best_of(rows, load)
    ]
    return table(head, body, 3)


def limits(case: Mapping[str, Any]) -> str:
    """Returns what in-process JAX reaches, by batch size and callers."""
    found = summary.limits(case)
    best_size = max(found, key=lambda key: found[key].median)
    head = ["batch size", "callers", "examples/s"]
    body = [
        [str(size), str(callers), whole(value) + (" (best)" * ((size, callers) == best_size))]
        for (size, callers), value in found.items()
    ]
    return table(head, body, 0)


def closed(rows: Sequence[Row]) -> str:
    """Returns all closed loops."""
    head = ["batch size", "in flight", "protocol", "server", "examples/s", "of the limit"]
    head += ["of the best size", "by CPU time", "server CPU µs", "p50 ms", "p99 ms"]
    head += ["p50 above JAX's, ms", "errors", "foreign CPU"]
    body = []
    for row in rows:
        busy = " (!)" if row.foreign_cpu > BUSY else ""
        cpu = row.server_cpu_us
        body.append(
            [
                str(row.load.batch_size),
                str(row.load.in_flight),
                TITLES[row.protocol],
                row.server,
                whole(row.examples_per_s) + slow(row),
                str(row.ratio),
                str(row.best_ratio),
                str(row.cpu_ratio),
                "–" if cpu is None else f"{cpu.median:,.0f}",
                _ms(row.p50_ms),
                _ms(row.p99_ms),
                _ms(row.added_ms),
                str(row.errors),
                f"{row.foreign_cpu:.0%}{busy}",
            ]
        )
    return table(head, body, 0)


def knees(points: Sequence[Mapping[str, Any]]) -> str:
    """Returns the knee of each curve, and the highest rate that was answered."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for point in points:
        groups.setdefault((point["subject"], point["protocol"]), []).append(point)
    head = ["server", "protocol", "knee, requests/s", "p50 ms", "p99 ms", "p99.9 ms", "most/s"]
    body = []
    for (name, protocol), group in groups.items():
        knee = curves.knee(group)
        at = [_number(knee["rate"]), *map(_plain_ms, _percentiles(knee))] if knee else ["–"] * 4
        most = max(point["examples_per_s"] for point in group)
        body.append([name, TITLES[protocol], *at, _number(most)])
    return table(head, body, 2)


def costs(rows: Sequence[Row], price: float) -> str:
    """Returns CPU seconds of the server and money for a million predictions, at its cheapest."""
    head = ["server", "protocol", "at", "CPU s a million", "US$ a million"]
    body = []
    for row in summary.cheapest(rows):
        assert row.server_cpu_us is not None
        seconds = row.server_cpu_us.median  # microseconds an example are seconds a million
        at = f"{row.load.batch_size} × {row.load.in_flight}"
        money = f"{seconds / 3600 * price:.5f}"
        body.append([row.server, TITLES[row.protocol], at, f"{seconds:,.0f}", money])
    return table(head, body, 3) if body else NOT_MEASURED


def processes(case: Mapping[str, Any]) -> str:
    """Returns start and memory of each server."""
    head = ["server", "start, s", "peak RSS, MiB", "PSS after the loads, MiB"]
    body = [
        [
            name,
            f"{case['starts'][name]:.1f}" if name in case["starts"] else "–",
            f"{found['peak_rss_mib']:,.0f}",
            f"{found['pss_mib']:,.0f}",
        ]
        for name, found in case["memory"].items()
    ]
    return table(head, body) if body else NOT_MEASURED


def starts(case: Mapping[str, Any]) -> str:
    """Returns the embedded server's first answers and memory, as a list."""
    found = case["startup"]
    lines = [
        f"- from the command to the first answer: {found['cold_start_s']:.1f} s without a "
        f"compilation cache, {found['warm_start_s']:.1f} s with one",
        f"- resident memory before the first request: {found['memory_mib']:.0f} MiB",
    ]
    if "memory_per_further_model_mib" in found:
        more = found["memory_per_further_model_mib"]
        lines.append(f"- each further model: {more:.1f} MiB")
    if "export_s" in case:
        lines.append(f"- export and verification: {case['export_s']:.0f} s")
    if "first_requests" in found:
        body = [
            [size, f"{times['first_ms']:.2f}", f"{times['steady_p99_ms']:.2f}"]
            for size, times in found["first_requests"].items()
        ]
        lines += ["", table(["batch size", "first request, ms", "steady p99, ms"], body, 0)]
    return "\n".join(lines)


def swaps(case: Mapping[str, Any]) -> str:
    """Returns latencies with and without a new version in the middle."""
    head = ["server", "requests/s", "new version", "p50 ms", "p99 ms", "p99.9 ms", "errors"]
    body = [
        [
            name,
            _number(found["rate"]),
            "yes" if which == "swap" else "no",
            *map(_plain_ms, _percentiles(found[which])),
            str(sum(found[which]["errors"].values())),
        ]
        for name, found in case["swap"].items()
        for which in ("steady", "swap")
    ]
    return table(head, body)


def failures(case: Mapping[str, Any]) -> str:
    """Returns what is left out, and why, as a list."""
    return "\n".join(
        f"- **{name}**: {' '.join(why.split())[:600]}" for name, why in case["failures"].items()
    )


def slow(row: Row) -> str:
    """Returns what is said of a server that didn't give a window's answers in time."""
    if row.slow is None:
        return ""
    answers, seconds = row.slow
    return f", slow: {answers} answers in {seconds:.1f} s"


def whole(value: Spread) -> str:
    """Returns a large number with its quartiles."""
    return f"{_number(value.median)} ({_number(value.low)}–{_number(value.high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _share(row: Row | None) -> str:
    return "–" if row is None else f"{row.ratio.median:.2f}{slow(row)}"


def _percentiles(figures: Mapping[str, Any]) -> list[float | None]:
    return [figures["p50_ms"], figures["p99_ms"], figures["p99_9_ms"]]


def _plain_ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _ms(value: Spread | None) -> str:
    return _plain_ms(None if value is None else value.median)
