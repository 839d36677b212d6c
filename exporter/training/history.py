"""The figures of a training run, epoch by epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from exporter.storage.staging import staged_file


@dataclass(frozen=True)
class Epoch:
    """Figures of one epoch; a line of the metrics file.

    Attributes:
        epoch: 1 is the first.
        test_accuracy: Of the test images after the epoch, 0 to 1.
        loss: Mean cross-entropy of the (augmented) training images while training, in nats.
        train_accuracy: Of the same images, while training, 0 to 1.
        seconds: What the epoch's training took, without the test; the first includes compiling.
        examples_per_second: Training images in a second.
    """

    epoch: int
    test_accuracy: float
    loss: float
    train_accuracy: float
    seconds: float
    examples_per_second: float


def write_metrics(history: Sequence[Epoch], path: Path) -> None:
    """Write JSON lines, one an epoch."""
    with staged_file(path) as staged:
        staged.write_text("".join(json.dumps(asdict(epoch)) + "\n" for epoch in history))
