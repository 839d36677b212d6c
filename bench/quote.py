"""Writes what the documentation quotes of the committed results: `python -m bench.quote`.

A quotation stands between `<!-- bench: NAME -->` and `<!-- /bench -->`; NAME is one of
`QUOTATIONS`. A test looks whether all are what this command writes.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench import summary, tables
from bench.cases import Load
from bench.process import ROOT
from bench.subjects import EMBEDDED
from bench.summary import Spread

RESULTS = ROOT / "bench" / "results" / "results.json"
PAGES = ("README.md", "docs/benchmarks.md", "docs/sizing.md")
_MARKED = re.compile(r"(<!-- bench: ([a-z-]+) -->\n).*?(<!-- /bench -->)", re.DOTALL)
_ROOT = "{root}"  # stands in pictures' addresses for the way to the checkout's root
_SIZING_LOADS = (Load(1, 32), Load(16, 32), Load(128, 8))
_LARGE = ("resnet", "encoder")


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrites the pages; returns 1 where --check finds one that isn't as it would be written."""
    parser = argparse.ArgumentParser(prog="python -m bench.quote", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args(arguments).check
    results = json.loads(RESULTS.read_text())
    stale = 0
    for name in PAGES:
        page = ROOT / name
        text = page.read_text()
        found = quoted(text, results, "../" * name.count("/"))
        if found != text:
            stale += 1
            print(f"{name} {'is not as python -m bench.quote writes it' if check else 'written'}")
            if not check:
                page.write_text(found)
    return int(check and stale > 0)


def quoted(text: str, results: Mapping[str, Any], root: str = "") -> str:
    """Returns a page with its quotations as the results have them.

    Args:
        text: The page.
        results: What `bench/results/results.json` holds.
        root: The way from the page to the checkout's root: empty, or `../`.

    Raises:
        ValueError: a quotation of that name isn't known, or has no end.
    """
    if text.count("<!-- bench: ") != len(_MARKED.findall(text)):
        raise ValueError("a quotation has no end: <!-- /bench -->")

    def replaced(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name not in QUOTATIONS:
            raise ValueError(f"no quotation is called {name}; there are {', '.join(QUOTATIONS)}")
        found = QUOTATIONS[name](results).replace(_ROOT, root)
        return f"{begin}{found}\n{end}"

    return _MARKED.sub(replaced, text)


def _machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    rounds = ", ".join(f"{case['rounds']} of {name}" for name, case in results["cases"].items())
    foreign = summary.spread(
        one["foreign_cpu"] for case in results["cases"].values() for one in case["closed"]
    )
    return (
        f"({machine['cores']} cores of an {machine['processor']}, {machine['memory']}, "
        f"{machine['date']}, commit {machine['commit']}; rounds: {rounds}; other processes used "
        f"{foreign.median:.0%} of the CPU, {foreign.high:.0%} in the upper quarter.)"
    )


def _shares(results: Mapping[str, Any]) -> str:
    return tables.shares(results["cases"]["mnist_flax"])


def _latency(results: Mapping[str, Any]) -> str:
    case = results["cases"]["mnist_flax"]
    alone = {
        row.protocol: row
        for row in summary.rows(case)
        if row.server == EMBEDDED and row.load == Load(1, 1)
    }
    grpc, rest = alone["grpc"], alone["rest"]
    alone_text = (
        f"One request at a time takes {_median(grpc.p50_ms)} ms by gRPC and "
        f"{_median(rest.p50_ms)} ms by REST, {_median(grpc.added_ms)} and "
        f"{_median(rest.added_ms)} ms more than JAX alone."
    )
    if not (startup := case.get("startup")):
        return alone_text
    return (
        f"{alone_text} From the start of the process to the "
        f"first answer: {startup['warm_start_s']:.1f} s with a warm compilation cache, "
        f"{startup['cold_start_s']:.1f} s without. Memory: {startup['memory_mib']:.0f} MiB with "
        f"one model, {startup['memory_per_further_model_mib']:.0f} MiB for each further one."
    )


def _median(value: Spread | None) -> str:
    return "–" if value is None else f"{value.median:.2f}"


def _large(results: Mapping[str, Any]) -> str:
    parts = []
    for model in _LARGE:
        if (case := results["cases"].get(model)) is None:
            continue
        loads = sorted(
            {Load(one["batch_size"], one["in_flight"]) for one in case["closed"]},
            key=lambda load: (load.batch_size, load.in_flight),
        )
        parts += [f"**{model}**, {case['about']}:", tables.best(case, loads)]
    return "\n\n".join(parts) or tables.NOT_MEASURED


def _picture(name: str, says: str) -> str:
    place = f"{_ROOT}bench/results/{name}"
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{place}-dark.svg">\n'
        f'  <img alt="{says}" src="{place}.svg">\n'
        "</picture>"
    )


def _plot_shares(results: Mapping[str, Any]) -> str:
    return _picture("shares", "Throughput of each server as a share of in-process JAX")


def _plot_latency(name: str, case: Mapping[str, Any]) -> str:
    if not case.get("curves"):
        return f"**{name}**: {tables.NOT_MEASURED}"
    return _picture(f"latency-{name}", f"{name}: latency of each server over the offered rate")


def _mnist_latency(results: Mapping[str, Any]) -> str:
    return _plot_latency("mnist_flax", results["cases"]["mnist_flax"])


def _each(make: Callable[[str, Mapping[str, Any]], str]) -> Callable[[Mapping[str, Any]], str]:
    def made(results: Mapping[str, Any]) -> str:
        return "\n\n".join(make(name, case) for name, case in results["cases"].items())

    return made


def _knees(name: str, case: Mapping[str, Any]) -> str:
    found = tables.knees(case["curves"]) if case.get("curves") else tables.NOT_MEASURED
    return f"**{name}**\n\n{found}"


def _limits(name: str, case: Mapping[str, Any]) -> str:
    return f"**{name}**\n\n{tables.limits(case)}"


def _costs(results: Mapping[str, Any]) -> str:
    case = results["cases"]["mnist_flax"]
    return (
        f"At {results['price']:g} US$ a core-hour, mnist_flax:\n\n"
        f"{tables.costs(summary.rows(case), results['price'])}"
    )


def _processes(name: str, case: Mapping[str, Any]) -> str:
    return f"**{name}**\n\n{tables.processes(case)}"


def _swaps(name: str, case: Mapping[str, Any]) -> str:
    found = tables.swaps(case) if case.get("swap") else tables.NOT_MEASURED
    return f"**{name}**\n\n{found}"


def _left_out(results: Mapping[str, Any]) -> str:
    found = [
        f"{model}:\n\n{tables.failures(case)}"
        for model, case in results["cases"].items()
        if case["failures"]
    ]
    return "\n\n".join(found) or "Nothing was left out."


def _sizing(results: Mapping[str, Any]) -> str:
    rows = {
        (row.protocol, row.load): row
        for row in summary.rows(results["cases"]["mnist_flax"])
        if row.server == EMBEDDED
    }
    cores = int(results["machine"]["cores"])
    body = [
        [
            f"{load.batch_size}, {load.in_flight}",
            *(f"{rows[p, load].examples_per_s.median / cores:,.0f}" for p in ("grpc", "rest")),
        ]
        for load in _SIZING_LOADS
    ]
    head = ["examples a request, in flight", "gRPC, examples/s and core"]
    return tables.table([*head, "REST, examples/s and core"], body, 0)


def _sizing_example(results: Mapping[str, Any]) -> str:
    (row,) = (
        row
        for row in summary.rows(results["cases"]["mnist_flax"])
        if (row.server, row.protocol, row.load) == (EMBEDDED, "grpc", Load(1, 32))
    )
    a_core = round(row.examples_per_s.median / int(results["machine"]["cores"]), -1)
    replicas = math.ceil(10_000 / (a_core * 4 * 0.7)) + 1
    return (
        "So 10,000 single requests a second by gRPC on servers of 4 cores take\n"
        f"⌈10,000 ÷ ({a_core:,.0f} × 4 × 0.7)⌉ + 1 = {replicas} replicas."
    )


QUOTATIONS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "machine": _machine,
    "plot-shares": _plot_shares,
    "plot-latency": _mnist_latency,
    "plot-latencies": _each(_plot_latency),
    "shares": _shares,
    "latency": _latency,
    "large": _large,
    "limits": _each(_limits),
    "knees": _each(_knees),
    "costs": _costs,
    "processes": _each(_processes),
    "swaps": _each(_swaps),
    "left-out": _left_out,
    "sizing": _sizing,
    "sizing-example": _sizing_example,
}


if __name__ == "__main__":
    sys.exit(main())
