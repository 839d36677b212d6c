"""The latency distribution as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from client.load.result import Result

_MARKS = {50.0: "-", 90.0: "--", 99.0: "-.", 99.9: ":"}
_INK, _BARS, _MARK = "#333333", "#7aa6c2", "#c2543d"


def save(result: Result, path: Path) -> None:
    """Writes a PNG: a histogram, and latency by percentile up to as many nines as were measured.

    Raises:
        ImportError: matplotlib isn't installed.
        ValueError: nothing was measured.
        OSError: the file can't be written.
    """
    from matplotlib.figure import Figure

    if not len(result.latencies):
        raise ValueError("no request was answered: there is nothing to plot")
    milliseconds = np.sort(result.latencies) * 1e3
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    histogram, percentiles = figure.subplots(1, 2)
    _plot_histogram(histogram, milliseconds)
    _plot_percentiles(percentiles, milliseconds)
    plan = result.plan
    loop = f"{plan.concurrency} in flight" if plan.rate is None else f"{plan.rate:g} req/s offered"
    figure.suptitle(
        f"{plan.spec.model} over {plan.endpoint.api_name}, "
        f"batch {plan.batch_size}, {loop}: {result.requests_per_second:,.0f} requests/s",
        color=_INK,
    )
    figure.savefig(path, format="png", dpi=120)


def _plot_histogram(axes: Any, milliseconds: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    low, high = milliseconds[0], max(milliseconds[-1], milliseconds[0] * 1.01)
    axes.hist(milliseconds, bins=np.geomspace(low, high, 80), color=_BARS)
    axes.set(xscale="log", xlabel="latency (ms)", ylabel="requests")
    for mark, style in _MARKS.items():
        value = np.percentile(milliseconds, mark, method="inverted_cdf")
        axes.axvline(value, color=_MARK, ls=style, lw=1.2, label=f"p{mark:g}  {value:.2f} ms")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    _format(axes.xaxis)


def _plot_percentiles(axes: Any, milliseconds: np.ndarray) -> None:
    count = len(milliseconds)
    beyond = 1 - np.arange(count) / count  # share of requests that took at least so long
    axes.plot(1 / beyond, milliseconds, color=_MARK, linewidth=1.5, drawstyle="steps-post")
    nines = [p for p in (0, 50, 90, 99, 99.9, 99.99, 99.999) if 1 - p / 100 >= 1 / count]
    axes.set(xscale="log", yscale="log", xlabel="percentile", ylabel="latency (ms)")
    axes.set_xticks([100 / (100 - p) for p in nines], [f"{p:g}" for p in nines])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    _format(axes.yaxis)


def _format(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
