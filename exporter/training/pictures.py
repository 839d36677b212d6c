"""Pictures for a person to look at: digits with what a model says, and the course of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from exporter.storage.staging import staged_file
from exporter.training.history import Epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_NUMBERED = 30  # classes whose cells still have room for a number
RIGHT, WRONG = "tab:green", "tab:red"


def draw_grid(
    path: Path,
    images: np.ndarray,
    labels: np.ndarray,
    inferences: np.ndarray,
    *,
    classes: Sequence[str] | None = None,
    columns: int = 8,
) -> None:
    """Draw images in a grid, each with its label and what was inferred, wrong ones in red.

    Args:
        path: The PNG to write.
        images: [N, height, width, 1], any dtype, ink bright.
        labels: int [N].
        inferences: int [N], the inferred classes, or float [N, classes], their scores.
        classes: Names of the classes; their numbers where there are none.
        columns: Images in a row.
    """
    from matplotlib.figure import Figure

    inferred = inferences.argmax(axis=-1) if inferences.ndim > 1 else inferences
    names = classes or [str(number) for number in range(int(max(labels.max(), inferred.max())) + 1)]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.3 * columns, 1.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, image, label, found in zip(axes, images, labels, inferred, strict=False):
        axis.imshow(image[..., 0], cmap="gray_r")
        axis.set_title(
            f"label {names[label]}\ninferred {names[found]}",
            fontsize=8,
            color=RIGHT if label == found else WRONG,
        )
    _save(figure, path)


def draw_confusion(
    path: Path, labels: np.ndarray, scores: np.ndarray, classes: Sequence[str]
) -> None:
    """Draw what was taken for what: a row a class, its share in each column.

    Args:
        path: The PNG to write.
        labels: int [N].
        scores: float [N, classes].
        classes: Their names.
    """
    from matplotlib.figure import Figure

    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (labels, scores.argmax(axis=-1)), 1)
    side = max(4.0, 0.32 * len(classes) + 1.5)
    figure = Figure(figsize=(side, side), layout="constrained")
    axis = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(classes))
    axis.set_xticks(ticks, classes, rotation=90)
    axis.set_yticks(ticks, classes)
    axis.set(xlabel="inferred", ylabel="label")
    axis.set_title(f"{np.trace(counts) / max(counts.sum(), 1):.1%} of {counts.sum()} right")
    if len(classes) <= MAX_NUMBERED:
        for row, column in zip(*counts.nonzero(), strict=True):
            dark = shares[row, column] > 0.5
            axis.text(
                *(column, row, str(counts[row, column])),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
            )
    _save(figure, path)


def draw_history(path: Path, history: Sequence[Epoch]) -> None:
    """Draw loss and accuracies of a training, epoch by epoch.

    Args:
        path: The PNG to write.
        history: At least one epoch.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(8, 3), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    epochs = [epoch.epoch for epoch in history]
    loss.plot(epochs, [epoch.loss for epoch in history], marker=".", label="train")
    accuracy.plot(epochs, [epoch.train_accuracy for epoch in history], marker=".", label="train")
    accuracy.plot(epochs, [epoch.test_accuracy for epoch in history], marker=".", label="test")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    for axis, name in ((loss, "loss (nats)"), (accuracy, "accuracy")):
        axis.set(xlabel="epoch", ylabel=name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.legend()
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with staged_file(path) as staged:
        figure.savefig(staged, format="png", dpi=120)
