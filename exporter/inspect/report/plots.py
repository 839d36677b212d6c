"""The report's pictures, as SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from exporter.inspect import pictures
from exporter.inspect.report.collection import Report, parameter_bytes, scores_of
from exporter.model import SERVING_DEFAULT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Distinguishable with every kind of colour vision (Okabe and Ito).
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_SHOWN_PARAMETERS = 12
_SHOWN_IMAGES = 16


def errors(report: Report) -> str:
    """Largest difference from JAX by batch size, a line a runtime, with the tolerance."""
    figure, axis = _figure()
    floor = 1e-9
    for index, runtime in enumerate(report.runtimes):
        points = [
            (c.batch_size, max(c.max_abs_err, floor))
            for c in report.find(runtime, SERVING_DEFAULT)
            if c.max_abs_err is not None
        ]
        _line(axis, points, runtime, index)
    axis.axhline(report.manifest.tolerance.atol, color="#b00020", linestyle="--", linewidth=1)
    axis.annotate(
        "absolute tolerance",
        (0.99, report.manifest.tolerance.atol),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color="#b00020",
        fontsize=8,
    )
    axis.set(yscale="log", ylim=(floor / 3, None), ylabel="max |difference| from JAX")
    largest = max(report.manifest.tolerance.atol, np.nan_to_num(report.max_abs_err, posinf=1.0))
    ends = range(-8, int(np.ceil(np.log10(largest))) + 1)
    ticks, labels = [10.0**end for end in ends], [f"1e{end}" for end in ends]
    axis.set_yticks([floor, *ticks], ["≤ 1e-9", *labels])
    return _batches(figure, axis, report)


def latencies(report: Report) -> str:
    """Median time of a call by batch size, a line a runtime."""
    figure, axis = _figure()
    for index, runtime in enumerate(report.runtimes):
        cells = report.find(runtime, SERVING_DEFAULT)
        points = [(c.batch_size, c.milliseconds) for c in cells if c.milliseconds is not None]
        _line(axis, points, runtime, index)
    axis.set(yscale="log", ylabel="median time of a call (ms)")
    return _batches(figure, axis, report)


def parameters(report: Report) -> str:
    """Where the bytes of the parameters are: the largest ones, and all others together."""
    sizes = sorted(parameter_bytes(report.manifest).items(), key=lambda item: -item[1])
    shown, rest = sizes[:_SHOWN_PARAMETERS], sizes[_SHOWN_PARAMETERS:]
    if rest:
        shown.append((f"{len(rest)} others", sum(size for _, size in rest)))
    figure, axis = _figure(height=0.8 + 0.26 * len(shown))
    names, numbers = [name for name, _ in shown], [size for _, size in shown]
    bars = axis.barh(names, numbers, color=_COLORS[0], height=0.65)
    axis.bar_label(bars, [f"{size:,}" for size in numbers], padding=4, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.18)
    axis.xaxis.set_visible(False)
    axis.spines["bottom"].set_visible(False)
    return _svg(figure)


def confusion(report: Report) -> str | None:
    """What was taken for what among the version's labelled examples; None where it has none."""
    scores = scores_of(report.manifest, report.examples)
    if scores is None or report.examples is None or report.examples.labels is None:
        return None
    return _svg(pictures.confusion(report.examples.labels, scores))


def images(report: Report) -> str | None:
    """Some of the version's real inputs, where they are images, with what was inferred."""
    if report.examples is None or len(report.examples.inputs) != 1:
        return None
    (array,) = report.examples.inputs.values()
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or array.dtype.kind not in "fu":
        return None
    scores = scores_of(report.manifest, report.examples)
    return _svg(pictures.grid(array[:_SHOWN_IMAGES], report.examples.labels, scores))


def _figure(height: float = 3.0, width: float = 9.2) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def _line(axis: Any, points: Sequence[tuple[float, float]], name: str, index: int) -> None:
    if points:
        color = _COLORS[index % len(_COLORS)]
        marker = "osD^vP"[index % 6]  # lines on top of one another stay apart
        x, y = zip(*points, strict=True)
        axis.plot(x, y, marker=marker, markersize=8 - index, color=color, label=name, linewidth=1.5)


def _batches(figure: Figure, axis: Any, report: Report) -> str:
    axis.set(xscale="log", xlabel="batch size")
    axis.set_xticks(report.batch_sizes, [str(size) for size in report.batch_sizes])
    axis.minorticks_off()
    axis.grid(alpha=0.25)
    if axis.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper left", ncols=3, fontsize=9, frameon=False)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    import matplotlib

    file = io.StringIO()
    # Text stays text, in the reader's own font.
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
