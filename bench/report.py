"""Figures as Markdown, JSON and plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import summary
from bench.summary import Row

_BUSY = 0.05  # share of the CPU that others may use before figures are marked


def write(folder: Path, results: Mapping[str, Any]) -> list[Path]:
    """Writes what there is of the results; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = summary.rows(results["measurements"])
    data = {**results, "rows": [asdict(row) for row in rows]}
    files = {
        folder / "results.json": json.dumps(data, indent=1) + "\n",
        folder / "results.md": _markdown(results, rows),
    }
    for path, text in files.items():
        path.write_text(text)
    plots = [_plot_ratios(folder / "ratios.png", rows)]
    if results.get("scaling"):
        plots.append(_plot_scaling(folder / "scaling.png", results["scaling"]))
    return [*files, *plots]


def _markdown(results: Mapping[str, Any], rows: Sequence[Row]) -> str:
    machine = results["machine"]
    lines = [
        f"# Benchmarks of {results['model']}",
        "",
        "Written by `python -m bench`. Medians and quartiles of "
        f"{results['rounds']} interleaved rounds; ratios are taken within rounds, to the faster of "
        "one and two callers of the jitted program in a process of its own. The load generator "
        "runs on the same cores. *By CPU time*: the limit's CPU time an example to that of server "
        "and generator together, which other load on the machine changes little.",
        "",
        *(f"- {key}: {value}" for key, value in machine.items()),
        "",
        "## The limit: in-process jitted JAX",
        "",
        "| batch size | callers | examples/s |",
        "|---|---|---|",
    ]
    for (batch_size, callers), value in sorted(summary.limits(results["measurements"]).items()):
        lines.append(f"| {batch_size} | {callers} | {_whole(value)} |")
    for api in ("grpc", "rest"):
        title = {"grpc": "gRPC", "rest": "REST"}[api]
        lines += [
            "",
            f"## {title}",
            "",
            "| batch size | in flight | server | examples/s | of the limit | by CPU time "
            "| p50 ms | p99 ms | p50 above JAX's, ms | errors | foreign CPU |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        mine = [row for row in rows if row.api == api]
        for row in sorted(mine, key=lambda r: (r.batch_size, r.concurrency, r.subject)):
            busy = " (!)" if row.foreign_cpu > _BUSY else ""
            lines.append(
                f"| {row.batch_size} | {row.concurrency} | {row.subject} "
                f"| {_whole(row.examples_per_s)} | {row.ratio} | {row.cpu_ratio} "
                f"| {row.p50_ms.median:.2f} | {row.p99_ms.median:.2f} | {row.added_ms.median:.2f} "
                f"| {row.errors} | {row.foreign_cpu:.0%}{busy} |"
            )
    return "\n".join([*lines, *_startup(results.get("startup")), ""])


def write_exact(folder: Path, results: Mapping[str, Any]) -> list[Path]:
    """Writes what `--exact` costs; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        folder / "exact.json": json.dumps(results, indent=1) + "\n",
        folder / "exact.md": _exact(results),
    }
    for path, text in files.items():
        path.write_text(text)
    return list(files)


def _exact(results: Mapping[str, Any]) -> str:
    measurements = results["measurements"]
    foreign = summary.spread(one["foreign_cpu"] for one in measurements)
    lines = [
        f"# What --exact costs {results['model']}",
        "",
        "Written by `python -m bench --exact`. Times as much as the same server without the flag "
        f"takes in the same round; medians and quartiles of {results['rounds']} interleaved "
        "rounds. CPU time is that of server and load generator together, which other load on the "
        f"machine changes little; others used {foreign.median:.0%} of the CPU "
        f"({foreign.low:.0%}–{foreign.high:.0%}).",
        "",
        *(f"- {key}: {value}" for key, value in results["machine"].items()),
        "",
        "## In the engine",
        "",
        "Calls with and without, in turn in one process; of each the fastest twentieth.",
        "",
        "| rows | without, ms | with, ms | ratio |",
        "|---|---|---|---|",
        *(
            f"| {rows} | {plain:.2f} | {exact:.2f} | {exact / plain:.2f} |"
            for rows, (plain, exact) in results["calls"].items()
        ),
        "",
        "## Served",
        "",
        "| API | batch size | in flight | time an example | CPU time an example |",
        "|---|---|---|---|---|",
        *(
            f"| {c.api} | {c.batch_size} | {c.concurrency} | {c.time} | {c.cpu} |"
            for c in summary.costs_of_exact(measurements)
        ),
        "",
    ]
    return "\n".join(lines)


def _startup(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return []
    lines = [
        "",
        "## Start and memory of the embedded server",
        "",
        f"- first answer after a start without a cache: {found['cold_start_s']:.1f} s, "
        f"with one: {found['warm_start_s']:.1f} s",
        f"- resident memory: {found['memory_mib']:.0f} MiB with one model, "
        f"{found['memory_per_further_model_mib']:.1f} MiB for each further one",
    ]
    if "export_s" in found:
        lines.append(f"- train for an epoch, export and verify: {found['export_s']:.0f} s")
    lines += ["", "| batch size | first request, ms | steady p99, ms |", "|---|---|---|"]
    for size, times in found["first_requests"].items():
        lines.append(f"| {size} | {times['first_ms']:.2f} | {times['steady_p99_ms']:.2f} |")
    return lines


def _whole(value: summary.Spread) -> str:
    return f"{value.median:,.0f} ({value.low:,.0f}–{value.high:,.0f})"


def _plot_ratios(path: Path, rows: Sequence[Row]) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cells = sorted({(row.batch_size, row.concurrency) for row in rows})
    names = sorted({(row.subject, row.api) for row in rows})
    figure, axes = plt.subplots(figsize=(11, 5), layout="constrained")
    width = 0.8 / max(len(names), 1)
    for place, (subject, api) in enumerate(names):
        mine = {
            (row.batch_size, row.concurrency): row.ratio
            for row in rows
            if (row.subject, row.api) == (subject, api)
        }
        at = [n + (place - (len(names) - 1) / 2) * width for n in range(len(cells))]
        found = [mine.get(cell) for cell in cells]
        heights = [value.median if value else 0.0 for value in found]
        errors = [
            [value.median - value.low if value else 0.0 for value in found],
            [value.high - value.median if value else 0.0 for value in found],
        ]
        label = f"{subject}, {'gRPC' if api == 'grpc' else 'REST'}"
        axes.bar(at, heights, width, yerr=errors, label=label, error_kw={"linewidth": 0.8})
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(cells)), [f"batch {b}\n{c} in flight" for b, c in cells])
    axes.set_ylabel("examples/s, in-process jitted JAX = 1")
    axes.legend(fontsize=8, ncols=2, loc="upper left")
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def _plot_scaling(path: Path, points: Sequence[Mapping[str, Any]]) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = sorted({(one["grows"], one["api"]) for one in points})
    figure, all_axes = plt.subplots(
        1, len(panels), figsize=(4 * len(panels), 3.6), layout="constrained", squeeze=False
    )
    for axes, (grows, api) in zip(all_axes[0], panels, strict=True):
        for workers in sorted({one["workers"] for one in points}):
            line = [
                (one["value"], one["examples_per_s"])
                for one in points
                if (one["grows"], one["api"], one["workers"]) == (grows, api, workers)
            ]
            if line:
                plural = "s" if workers > 1 else ""
                axes.plot(*zip(*sorted(line), strict=True), "o-", label=f"{workers} worker{plural}")
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes := sorted({one["value"] for one in points}), map(str, sizes))
        axes.set_ylim(bottom=0)
        axes.set_xlabel(grows)
        axes.set_title("gRPC" if api == "grpc" else "REST")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    all_axes[0][0].set_ylabel("examples/s")
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
