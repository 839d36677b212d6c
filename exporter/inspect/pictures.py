"""A model's examples and what it says of them, drawn for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exporter.storage.staging import staged_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_NUMBERED = 30  # classes whose cells still have room for a number, and axes for their numbers
RIGHT, WRONG = "tab:green", "tab:red"


def grid(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    inferences: np.ndarray | None = None,
    *,
    classes: Sequence[str] | None = None,
    columns: int = 8,
) -> Figure:
    """Draws images in a grid, each with its label and what was inferred, wrong ones in red.

    Args:
        images: [N, height, width, channels], any real dtype, scaled by the least and the largest
            value of all; one channel is ink, three are red, green and blue.
        labels: int [N], or None where they are unknown; then nothing is written.
        inferences: int [N], the inferred classes, or float [N, classes], their scores, or None.
        classes: Names of the classes; their numbers where there are none.
        columns: Images in a row.
    """
    from matplotlib.figure import Figure

    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.3 * columns, 1.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    values = images.astype(np.float32)
    low, high = values.min(), values.max()
    shown = (values - low) / max(high - low, np.finfo(np.float32).tiny)
    for axis, image in zip(axes, shown, strict=False):
        axis.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray_r", vmin=0, vmax=1)
    if labels is None or inferences is None:
        return figure
    inferred = inferences.argmax(axis=-1) if inferences.ndim > 1 else inferences
    for axis, label, found in zip(axes, labels, inferred, strict=False):
        axis.set_title(
            f"label {classes[label] if classes else label}\n"
            f"inferred {classes[found] if classes else found}",
            fontsize=8,
            color=RIGHT if label == found else WRONG,
        )
    return figure


def confusion(
    labels: np.ndarray, scores: np.ndarray, classes: Sequence[str] | None = None
) -> Figure:
    """Draws what was taken for what: a row a class, its share in each column.

    Args:
        labels: int [N].
        scores: float [N, classes].
        classes: Their names; without them they are numbered, where there are few.
    """
    from matplotlib.figure import Figure

    number = scores.shape[-1]
    counts = np.zeros((number, number), np.int64)
    np.add.at(counts, (labels, scores.argmax(axis=-1)), 1)
    is_numbered = number <= MAX_NUMBERED
    names = classes or ([str(index) for index in range(number)] if is_numbered else [])
    side = max(4.0, 0.32 * len(names) + 1.5)
    figure = Figure(figsize=(side, side), layout="constrained")
    axis = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(names)), names, rotation=90 if classes else 0)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="inferred", ylabel="label")
    axis.set_title(f"{np.trace(counts) / max(counts.sum(), 1):.1%} of {counts.sum()} right")
    for row, column in zip(*counts.nonzero(), strict=True) if is_numbered else ():
        axis.text(
            *(column, row, str(counts[row, column])),
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[row, column] > 0.5 else "black",
        )
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Writes a figure; a file that is there stays as it is if that fails."""
    with staged_file(path) as staged:
        figure.savefig(staged, format="png", dpi=120)
