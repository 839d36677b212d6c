"""Training: one jitted step, the same parameters for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.datasets.dataset import Dataset
from exporter.model import PyTree
from exporter.models.definition import ModelDefinition


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    Attributes:
        num_epochs: Passes over the training images; 0 leaves the parameters as initialised.
        batch_size: Images in a step; the images left over at the end of an epoch are dropped.
        seed: Decides the initial parameters, the shuffling and the augmentation.
        learning_rate: The rate that the model's schedule starts from; None is the model's own.
        checkpoint_dir: Where to save the state after each epoch and to resume from; None: nowhere.
        metrics_file: Where to write one line of JSON an epoch; None: nowhere.
        progress: Show a bar on a terminal, a line an epoch elsewhere.
    """

    num_epochs: int = 3
    batch_size: int = 128
    seed: int = 0
    learning_rate: float | None = None
    checkpoint_dir: Path | None = None
    metrics_file: Path | None = None
    progress: bool = True


@dataclass(frozen=True)
class Epoch:
    """Figures of one epoch, a line of the metrics file.

    Attributes:
        epoch: 1 is the first.
        loss: Mean cross-entropy over the epoch's (augmented) training images, in nats.
        train_accuracy: Over the same images, while training, 0 to 1.
        test_accuracy: Over the test images after the epoch, 0 to 1.
        seconds: The epoch's training, without the test.
        examples_per_second: Training images in a second.
    """

    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float
    examples_per_second: float


@dataclass(frozen=True)
class TrainResult:
    """What came of it.

    Attributes:
        params: The trained parameters, NumPy arrays.
        metrics: For the manifest: `test_accuracy`, and after at least one epoch `train_accuracy`
            and `loss`.
        history: One entry an epoch, those before a resumption included.
    """

    params: PyTree
    metrics: dict[str, float]
    history: Sequence[Epoch]


def train(
    definition: ModelDefinition, dataset: Dataset, options: TrainOptions | None = None
) -> TrainResult:
    """Train a model.

    Args:
        definition: What to train.
        dataset: What to train on and what to test with.
        options: How.

    Raises:
        UserError: More images in a batch than there are, or a checkpoint of another run
            (`CheckpointError`).
    """
    raise NotImplementedError
