"""Plots as SVG, each for a light and a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import curves, summary
from bench.protocols import TITLES
from bench.subjects import EMBEDDED


@dataclass(frozen=True)
class Theme:
    """Colours of a page.

    Attributes:
        suffix: Of the file's name.
        ink: Text and axes.
        faint: Grid.
        ours: The embedded server's.
        others: The other servers', in turn.
    """

    suffix: str
    ink: str
    faint: str
    ours: str
    others: tuple[str, ...]


# After Okabe and Ito's palette for all kinds of colour vision, lighter on dark pages.
_THEMES = (
    Theme(
        "",
        "#24292f",
        "#d0d7de",
        "#0969da",
        ("#d55e00", "#009e73", "#cc79a7", "#b58900", "#6e7781", "#8250df", "#117a8b", "#a0522d"),
    ),
    Theme(
        "-dark",
        "#e6edf3",
        "#30363d",
        "#58a6ff",
        ("#ff9a57", "#3fd0a4", "#eba3cb", "#e3c04f", "#9aa4ae", "#bc8cff", "#56c7d6", "#d29a75"),
    ),
)
_MARKS = "osD^vPX*<>"


def write(folder: Path, results: Mapping[str, Any]) -> list[Path]:
    """Writes all plots; returns the files."""
    import matplotlib

    matplotlib.use("Agg")
    # Text as text: small files, the reader's font. No dates and no chance: the same bytes again.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "bench", "font.family": "sans-serif"}
    found = []
    with matplotlib.rc_context(settings):
        for theme in _THEMES:
            cases = {name: case for name, case in results["cases"].items() if case["closed"]}
            if cases:
                found.append(_shares(folder, cases, theme))
            for model, case in cases.items():
                if case.get("curves"):
                    found.append(_latencies(folder, model, case["curves"], theme))
    return found


def _shares(folder: Path, cases: Mapping[str, Any], theme: Theme) -> Path:
    """Bars: each server's best protocol with 8 requests in flight, a panel a model."""
    from matplotlib.figure import Figure

    chosen = {}
    for model, case in cases.items():
        rows = summary.rows(case)
        load = max(
            {row.load for row in rows},
            key=lambda each: (each.in_flight == 8, each.batch_size),
        )
        chosen[model] = load, summary.best_of(rows, load)
    most = max(len(rows) for _, rows in chosen.values())
    figure = Figure(figsize=(4.1 * len(chosen), 1.3 + 0.34 * most), layout="constrained")
    panels = figure.subplots(1, len(chosen), squeeze=False)[0]
    for axes, (model, (load, rows)) in zip(panels, chosen.items(), strict=True):
        names = [f"{row.server}\n{TITLES[row.protocol]}" for row in rows]
        values = [row.best_ratio.median for row in rows]
        spreads = [
            [row.best_ratio.median - row.best_ratio.low for row in rows],
            [row.best_ratio.high - row.best_ratio.median for row in rows],
        ]
        colours = [theme.ours if row.server == EMBEDDED else theme.others[4] for row in rows]
        style = {"ecolor": theme.ink, "elinewidth": 0.8}
        axes.barh(names, values, 0.62, xerr=spreads, color=colours, error_kw=style)
        for place, row in enumerate(rows):
            axes.text(
                row.best_ratio.high + 0.02,
                place,
                f"{row.best_ratio.median:.2f}",
                va="center",
                color=theme.ink,
                fontsize=8,
            )
        axes.invert_yaxis()
        axes.axvline(1.0, color=theme.ink, linewidth=0.8)
        axes.set_xlim(0, max(1.15, *(row.best_ratio.high + 0.18 for row in rows)))
        axes.set_title(f"{model}: {load.batch_size} a request, {load.in_flight} in flight")
        axes.set_xlabel("examples/s, in-process JAX at its best = 1")
        axes.tick_params(axis="y", labelsize=7.5, length=0)
        _paint(axes, theme)
        axes.grid(axis="y", visible=False)
    return _save(figure, folder / f"shares{theme.suffix}.svg")


def _latencies(folder: Path, model: str, points: Sequence[Mapping[str, Any]], theme: Theme) -> Path:
    """Lines: p50 and p99 over the offered rate, both logarithmic, the knee filled."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for point in points:
        lines.setdefault((point["subject"], point["protocol"]), []).append(point)
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for number, ((name, protocol), group) in enumerate(lines.items()):
        is_ours = name == EMBEDDED
        colour = theme.ours if is_ours else theme.others[number % len(theme.others)]
        mark = _MARKS[number % len(_MARKS)]
        knee = curves.knee(group)
        for axes, percentile in zip(panels, ("p50_ms", "p99_ms"), strict=True):
            there = sorted((p for p in group if p[percentile] is not None), key=lambda p: p["rate"])
            axes.plot(
                [p["rate"] for p in there],
                [p[percentile] for p in there],
                f"-{mark}",
                color=colour,
                linewidth=2.0 if is_ours else 1.1,
                markersize=4.5,
                markerfacecolor="none",
                label=f"{name}, {TITLES[protocol]}",
            )
            if knee and knee[percentile] is not None:
                axes.plot(knee["rate"], knee[percentile], mark, color=colour, markersize=7)
    for axes, title in zip(panels, ("p50", "p99"), strict=True):
        axes.set(xscale="log", yscale="log", xlabel="requests/s offered")
        axes.set_title(f"{model}: {title}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        _paint(axes, theme)
    panels[0].set_ylabel("ms from the intended start")
    legend = figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False
    )
    for text in legend.get_texts():
        text.set(color=theme.ink, fontsize=8)
    return _save(figure, folder / f"latency-{model}{theme.suffix}.svg")


def _paint(axes: Any, theme: Theme) -> None:
    axes.set_facecolor("none")
    axes.tick_params(colors=theme.ink, which="both")
    for label in (axes.title, axes.xaxis.label, axes.yaxis.label):
        label.set(color=theme.ink, fontsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.faint)
    axes.set_axisbelow(True)
    axes.grid(color=theme.faint, linewidth=0.6)


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    # matplotlib leaves spaces at the ends of lines.
    text = "\n".join(line.rstrip() for line in path.read_text().splitlines())
    path.write_text(text + "\n")
    return path
