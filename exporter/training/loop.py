"""Training: on a machine, the same model, data and options give the same parameters, bit by bit."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from exporter.errors import UserError
from exporter.model import PyTree
from exporter.training.accuracy import BATCH_SIZE, accuracy
from exporter.training.datasets.dataset import Dataset, Split
from exporter.training.history import Epoch, write_metrics
from exporter.training.models.definition import ModelDefinition
from exporter.training.parallel import Placement
from exporter.training.progress import TrainingProgress
from exporter.training.step import State, jitted_step, run_epoch

if TYPE_CHECKING:
    from exporter.training.checkpoints import Checkpoints


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
        progress: Show a bar on a terminal and a line an epoch, on standard error.
    """

    num_epochs: int = 3
    batch_size: int = 128
    seed: int = 0
    learning_rate: float | None = None
    checkpoint_dir: Path | None = None
    metrics_file: Path | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        if self.num_epochs < 0:
            raise UserError(f"num_epochs is {self.num_epochs}; it must be 0 or more")
        if self.batch_size < 1:
            raise UserError(f"batch_size is {self.batch_size}; it must be 1 or more")


@dataclass(frozen=True)
class TrainResult:
    """What came of it.

    Attributes:
        params: The trained parameters, a pytree of NumPy arrays.
        metrics: For the manifest: `test_accuracy` and `test_top3_accuracy`, and after at least one
            epoch `train_accuracy` and `loss`.
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
        UserError: Fewer images than one batch, a loss that isn't finite, or a checkpoint
            that can't be read or is of another run (`CheckpointError`).
    """
    options = options or TrainOptions()
    steps = len(dataset.train) // options.batch_size
    if options.num_epochs and not steps:
        raise UserError(
            f"batch size {options.batch_size} is more than the {len(dataset.train)} training images"
        )
    rate = definition.learning_rate if options.learning_rate is None else options.learning_rate
    optimizer = definition.optimizer(steps * options.num_epochs, rate)
    init_key, epochs_key = jax.random.split(jax.random.key(options.seed))
    placement = Placement.of(options.batch_size, BATCH_SIZE, enabled=definition.data_parallel)
    params = definition.init(init_key)
    state, history = placement.copied(State(params, optimizer.init(params))), list[Epoch]()
    step = jitted_step(definition, optimizer)
    apply = jax.jit(lambda params, images: definition.apply(params, images, True))

    def tested(params: PyTree, *, top: int = 1) -> float:
        return accuracy(
            lambda images: apply(params, placement.split(images)), dataset.test, top=top
        )

    with (
        TrainingProgress(
            definition.name, epochs=options.num_epochs, steps=steps, enabled=options.progress
        ) as progress,
        _checkpoints(definition, dataset.train, options, rate) as checkpoints,
    ):
        if checkpoints and (restored := checkpoints.restore(state)):
            state, history = restored
            progress.resumed(len(history))
        for number in range(len(history) + 1, options.num_epochs + 1):
            state, figures = run_epoch(
                step,
                state,
                dataset.train,
                placement=placement,
                batch_size=options.batch_size,
                key=jax.random.fold_in(epochs_key, number),
                report=partial(progress.step, number),
            )
            if not math.isfinite(figures.loss):
                raise UserError(
                    f"{definition.name}: the loss is {figures.loss} in epoch {number}; "
                    f"take a learning rate below {rate:g}"
                )
            history.append(Epoch(number, tested(state.params), *figures))
            if checkpoints:
                checkpoints.save(state, history)
            if options.metrics_file:
                write_metrics(history, options.metrics_file)
            progress.epoch(history[-1])

        if history:
            last = history[-1]
            metrics = {"loss": last.loss, "train_accuracy": last.train_accuracy}
            metrics["test_accuracy"] = last.test_accuracy
        else:
            metrics = {"test_accuracy": tested(state.params)}
        metrics["test_top3_accuracy"] = tested(state.params, top=3)
    return TrainResult(jax.device_get(state.params), metrics, history)


@contextmanager
def _checkpoints(
    definition: ModelDefinition, split: Split, options: TrainOptions, rate: float
) -> Iterator[Checkpoints | None]:
    if options.checkpoint_dir is None or not options.num_epochs:
        yield None
        return
    from exporter.training.checkpoints import Checkpoints  # orbax takes a second to import

    run: dict[str, str | int | float] = {
        "model": definition.name,
        "seed": options.seed,
        "num_epochs": options.num_epochs,
        "batch_size": options.batch_size,
        "learning_rate": rate,
        "training data": _digest(split),
    }
    with closing(Checkpoints(options.checkpoint_dir, run)) as checkpoints:
        yield checkpoints


def _digest(split: Split) -> str:
    return hashlib.sha256(split.images.tobytes() + split.labels.tobytes()).hexdigest()[:12]
