"""Export a features model and train Keras networks on top of it.

It is used through TF Hub's layer in tf-keras and through a layer of ours in Keras 3, frozen and
fine-tuned; its gradients are compared with JAX's. All flags of the export apply.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.commands import export as export_command
from exporter.commands.flags import FlagParser, listed

if TYPE_CHECKING:
    from exporter.formats.keras.training import Way
    from exporter.training.datasets import Dataset

EXAMPLES = """\
examples:
  python -m exporter reuse --model mnist_flax --model_version auto
  python -m exporter reuse --data_source idx --data_dir ~/mnist --num_epochs 5 --reuse_epochs 3
  python -m exporter reuse --ways hub_fine_tuned --save_network networks/mnist_hub/1
"""


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network: its parameters, how often it is right (0 to 1), and what it took."""

    way: str
    trained: int
    test_accuracy: float
    seconds: float


def add_arguments(parser: FlagParser) -> None:
    """Declares the flags."""
    export_command.add_arguments(parser)
    parser.set_defaults(
        model_classifier_layer=False, with_gradient=True, serving_batch_size=-1, show_model=False
    )
    add = parser.add_argument
    add("--reuse_epochs", type=int, default=2, help="of each network (default: %(default)s)")
    add("--reuse_batch_size", type=int, default=128, help="(default: %(default)s)")
    add("--reuse_learning_rate", type=float, default=0.01, help="(default: %(default)s)")
    add(
        "--ways",
        type=listed(str),
        metavar="hub_frozen,…",
        help="hub_frozen, hub_fine_tuned, keras_frozen, keras_fine_tuned (default: all)",
    )
    add(
        "--save_network",
        type=Path,
        metavar="DIR",
        help="where to save the last network, as a SavedModel to serve",
    )


def run(args: argparse.Namespace) -> int:
    """Exports the features and trains the networks."""
    from exporter.commands.progress import Progress
    from exporter.errors import UserError

    if args.build or args.model_classifier_layer or not args.with_gradient:
        raise UserError(
            "what is reused are the features of a model for MNIST, with gradients: leave out "
            "pkg.module:build, --model_classifier_layer and --nowith_gradient"
        )
    if not args.generate_model:
        raise UserError("--nogenerate_model: the gradients' comparison needs the model in JAX")
    if args.save_network is not None and args.save_network.exists():
        raise UserError(f"{args.save_network} exists; choose another --save_network")
    if not isinstance(args.model_path, Path):
        raise UserError(f"--model_path {args.model_path}: this command needs a directory")
    stages = Progress()
    model, version_dir, dataset = export_command.generate(args, stages)
    assert dataset is not None
    assert isinstance(version_dir, Path)
    images = dataset.test.examples(16).inputs

    from exporter.formats.keras import gradients, saving, training

    known = {way.name: way for way in training.ways()}
    unknown = [name for name in args.ways or () if name not in known]
    if unknown:
        raise UserError(f"--ways {','.join(unknown)}: choose of {', '.join(known)}")
    with stages("compare gradients with JAX"):
        difference = gradients.compare(model, version_dir, images)
    outcomes = []
    for name in args.ways or known:
        with stages(f"train {name}"):
            network, outcome = _train(args, known[name], version_dir, dataset)
        outcomes.append(outcome)
    if args.save_network is not None:
        with stages(f"save the last network to {args.save_network}"):
            saving.save(network, args.save_network, images)
    if args.json:
        print(
            json.dumps(
                {
                    "features": str(version_dir),
                    "gradient_difference": difference,
                    "networks": [asdict(outcome) for outcome in outcomes],
                }
            )
        )
    else:
        _print(outcomes, difference, len(dataset.test))
    return 0


def _train(
    args: argparse.Namespace, way: Way, version_dir: Path, dataset: Dataset
) -> tuple[Any, TrainedNetwork]:
    from exporter.formats.keras import training
    from exporter.training.accuracy import accuracy
    from exporter.training.datasets import scale

    started = time.monotonic()
    network = training.train(
        way,
        version_dir,
        scale(dataset.train.images),
        dataset.train.labels,
        epochs=args.reuse_epochs,
        batch_size=args.reuse_batch_size,
        learning_rate=args.reuse_learning_rate,
        seed=args.seed,
    )
    right = accuracy(
        lambda images: network(images, training=False),
        dataset.test,
        batch_size=args.reuse_batch_size,
    )
    trained = training.trained_numbers(network)
    return network, TrainedNetwork(way.name, trained, right, time.monotonic() - started)


def _print(outcomes: Sequence[TrainedNetwork], difference: float, images: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="networks on top of the exported features", title_justify="left")
    table.add_column("network")
    for column in ("numbers trained", f"accuracy on {images} images", "seconds"):
        table.add_column(column, justify="right")
    for o in outcomes:
        table.add_row(o.way, f"{o.trained:,}", f"{o.test_accuracy:.2%}", f"{o.seconds:.1f}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"gradients differ from JAX's by at most {difference:.1e} of the largest")
