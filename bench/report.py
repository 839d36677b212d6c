"""Results as files: JSON, Markdown and plots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import plots, summary, tables
from bench.protocols import TITLES
from bench.subjects import EMBEDDED, EXACT

_METHOD = (
    "Written by `python -m bench`; [docs/benchmarks.md](../../docs/benchmarks.md) says how. "
    "Medians and quartiles of interleaved rounds; ratios are taken within rounds. *Of the limit*: "
    "to in-process JAX at the same batch size, the faster of one and two callers; *of the best "
    "size*: to JAX at the batch size that suits it best. The load generator runs on the same "
    "cores. *By CPU time*: the limit's CPU time an example to that of server and generator "
    "together, which other load on the machine changes little. (!): others used more than 5 % of "
    "the CPU."
)


def write(folder: Path, results: Mapping[str, Any]) -> list[Path]:
    """Writes what there is of the results; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        folder / "results.json": as_text(results),
        folder / "results.md": markdown(results),
    }
    for path, text in files.items():
        path.write_text(text)
    return [*files, *plots.write(folder, results)]


def as_text(results: Mapping[str, Any]) -> str:
    """Returns JSON with a line a measurement, so that two runs can be compared."""
    return _indented(results, 0) + "\n"


def _indented(value: Any, depth: int) -> str:
    is_open = isinstance(value, dict | list) and any(
        isinstance(one, dict | list)
        for one in (value.values() if isinstance(value, dict) else value)
    )
    if not is_open or depth > 4:
        return json.dumps(value, ensure_ascii=False)
    space = "\n" + " " * (depth + 1)
    if isinstance(value, dict):
        inner = [
            f"{json.dumps(key, ensure_ascii=False)}: {_indented(one, depth + 1)}"
            for key, one in value.items()
        ]
        return "{" + space + f",{space}".join(inner) + "\n" + " " * depth + "}"
    inner = [_indented(one, depth + 5) for one in value]
    return "[" + space + f",{space}".join(inner) + "\n" + " " * depth + "]"


def markdown(results: Mapping[str, Any]) -> str:
    """Returns all figures as a page."""
    parts = ["# Benchmarks", _METHOD, _list(results["machine"])]
    if results.get("servers"):
        parts.append(_list(results["servers"]))
    for model, case in results["cases"].items():
        rows = summary.rows(case)
        parts += [f"## {model}", f"{case['about'].capitalize()}. {case['rounds']} rounds."]
        parts += ["### The limit: in-process jitted JAX", tables.limits(case)]
        parts += ["### Closed loops", tables.closed(rows)]
        if case.get("curves"):
            parts += ["### Open loops: the knee of each curve", tables.knees(case["curves"])]
        parts += ["### What a million predictions cost", tables.costs(rows, results["price"])]
        parts += ["### Start and memory", tables.processes(case)]
        if case.get("startup"):
            parts += ["### The embedded server's start", tables.starts(case)]
        if case.get("swap"):
            parts += ["### A new version under load", tables.swaps(case)]
        if case["failures"]:
            parts += ["### Left out", tables.failures(case)]
    if results.get("left_out"):
        parts += ["## Left out", tables.failures({"failures": results["left_out"]})]
    return "\n\n".join(parts) + "\n"


def write_exact(folder: Path, results: Mapping[str, Any]) -> list[Path]:
    """Writes what `--exact` costs; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / "exact.json": as_text(results), folder / "exact.md": _exact(results)}
    for path, text in files.items():
        path.write_text(text)
    return list(files)


def _exact(results: Mapping[str, Any]) -> str:
    ((model, case),) = results["cases"].items()
    foreign = summary.spread(one["foreign_cpu"] for one in case["closed"])
    calls = [
        [str(rows), f"{plain:.2f}", f"{exact:.2f}", f"{exact / plain:.2f}"]
        for rows, (plain, exact) in results["calls"].items()
    ]
    served = [
        [TITLES[c.protocol], str(c.load.batch_size), str(c.load.in_flight), str(c.time), str(c.cpu)]
        for c in summary.costs_of_exact(case["closed"], EMBEDDED, EXACT)
    ]
    head = ["protocol", "batch size", "in flight", "time an example", "CPU time an example"]
    parts = [
        f"# What --exact costs {model}",
        "Written by `python -m bench --exact`. Times as much as the same server without the flag "
        f"takes in the same round; medians and quartiles of {case['rounds']} interleaved rounds. "
        "CPU time is that of server and load generator together, which other load on the machine "
        f"changes little; others used {foreign.median:.0%} of the CPU "
        f"({foreign.low:.0%}–{foreign.high:.0%}).",
        _list(results["machine"]),
        "## In the engine",
        "Calls with and without, in turn in one process; of each the fastest twentieth.",
        tables.table(["rows", "without, ms", "with, ms", "ratio"], calls, 0),
        "## Served",
        tables.table(head, served),
    ]
    return "\n\n".join(parts) + "\n"


def _list(values: Mapping[str, str]) -> str:
    return "\n".join(f"- {key}: {value}" for key, value in values.items())
