"""Export a features model and train Keras networks on top of it: `python -m exporter.reuse`.

It is used through TF Hub's layer in tf-keras and through a layer of ours in Keras 3, frozen and
fine-tuned; its gradients are compared with JAX's. All flags of the exporter apply.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.commands import export as export_command
from exporter.errors import UserError
from exporter.flags import FlagParser

if TYPE_CHECKING:
    from exporter.reuse.training import Outcome

_EXAMPLES = """\
examples:
  python -m exporter.reuse --model mnist_flax --model_version auto
  python -m exporter.reuse --data_source idx --data_dir ~/mnist --num_epochs 5 --reuse_epochs 3
  python -m exporter.reuse --ways hub_fine_tuned --save_network networks/mnist_hub/1
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0, 1 when a check failed, 2 for bad input."""
    parser = FlagParser(
        prog="python -m exporter.reuse",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
        type=lambda text: tuple(text.split(",")),
        metavar="hub_frozen,…",
        help="hub_frozen, hub_fine_tuned, keras_frozen, keras_fine_tuned (default: all)",
    )
    add(
        "--save_network",
        type=Path,
        metavar="DIR",
        help="where to save the last network, as a SavedModel to serve",
    )
    args = parser.parse_args(argv)
    try:
        return _run(args)
    except UserError as error:
        print(f"exporter.reuse: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("exporter.reuse: interrupted", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from exporter.stages import Stages

    if args.build or args.model_classifier_layer or not args.with_gradient:
        raise UserError(
            "what is reused are the features of a model for MNIST, with gradients: leave out "
            "pkg.module:build, --model_classifier_layer and --nowith_gradient"
        )
    if not args.generate_model:
        raise UserError("--nogenerate_model: the gradients' comparison needs the model in JAX")
    if args.save_network is not None and args.save_network.exists():
        raise UserError(f"{args.save_network} exists; choose another --save_network")
    stages = Stages()
    model, version_dir, dataset = export_command.generate(args, stages)
    assert dataset is not None
    images = dataset.test.examples(16).inputs

    from exporter.reuse import gradients, training

    known = {way.name: way for way in training.ways()}
    unknown = [name for name in args.ways or () if name not in known]
    if unknown:
        raise UserError(f"--ways {','.join(unknown)}: choose of {', '.join(known)}")
    with stages("compare gradients with JAX"):
        difference = gradients.compare(model, version_dir, images)
    outcomes = []
    for name in args.ways or known:
        with stages(f"train {name}"):
            network, outcome = training.train(
                known[name],
                version_dir,
                dataset,
                epochs=args.reuse_epochs,
                batch_size=args.reuse_batch_size,
                learning_rate=args.reuse_learning_rate,
                seed=args.seed,
                show=False,
            )
        outcomes.append(outcome)
    if args.save_network is not None:
        with stages(f"save the last network to {args.save_network}"):
            training.save(network, args.save_network, images)
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


def _print(outcomes: Sequence[Outcome], difference: float, images: int) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
