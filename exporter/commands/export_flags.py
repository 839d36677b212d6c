"""The flags of an export: what to export, how to train it, how to write it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from artifact.buckets.address import Address
from artifact.buckets.errors import AddressError
from exporter.commands.flags import FlagParser, directory_or_address, listed
from exporter.errors import UserError

if TYPE_CHECKING:
    from artifact.manifest import Tolerance
    from exporter.publish.options import ExportOptions
    from exporter.training.datasets import DataOptions
    from exporter.training.loop import TrainOptions
    from exporter.training.models import ModelDefinition


def add_arguments(parser: FlagParser) -> None:
    """Declares the flags."""
    _add_model_arguments(parser)
    _add_training_arguments(parser)
    _add_export_arguments(parser)
    parser.add_boolean("show_model", default=True, help="print signatures, variables, operations")
    parser.add_boolean("show_images", default=False, help="write a PNG of digits and inferences")
    parser.add_boolean("json", default=False, help="print one JSON object instead of tables")


def _add_model_arguments(parser: FlagParser) -> None:
    add = parser.add_argument
    add(
        "build",
        nargs="?",
        metavar="pkg.module:build",
        help="function that gives a model of one's own; nothing is trained",
    )
    add(
        "--params",
        type=Path,
        metavar="PATH",
        help="its parameters: .safetensors, .msgpack or an Orbax checkpoint (default: build's)",
    )
    add("--name", help="what that model is called (default: its module's name)")
    add(
        "--model",
        default="mnist_flax",
        help="mnist_flax, mnist_pure_jax, quickdraw (default: %(default)s)",
    )
    parser.add_boolean(
        "model_classifier_layer", default=True, help="export the classifier, not its features"
    )
    add(
        "--model_path",
        type=directory_or_address,
        default=Path("models"),
        metavar="DIR",
        help="directory of all models, or s3://, gs://, hf:// (default: %(default)s)",
    )
    add(
        "--model_version",
        type=_version,
        default=1,
        metavar="N|auto",
        help="version; auto takes the next (default: %(default)s)",
    )


def _add_training_arguments(parser: FlagParser) -> None:
    add = parser.add_argument
    parser.add_boolean(
        "generate_model",
        default=True,
        help="train and export; --nogenerate_model tests the version that is there",
    )
    add("--num_epochs", type=_count, help="0: don't train (default: 3; quickdraw 80)")
    add("--train_batch_size", type=_count, help="(default: 128; quickdraw 32)")
    add("--learning_rate", type=float, help="(default: the model's own)")
    add("--seed", type=int, default=0, help="of parameters and shuffling (default: %(default)s)")
    add("--checkpoint_dir", type=Path, metavar="DIR", help="save each epoch there, and resume")
    add("--metrics_file", type=Path, metavar="FILE", help="write a line of JSON an epoch")
    add(
        "--data_source",
        help="bundled, idx or tfds; quickdraw_sample or quickdraw (default: the model's sample)",
    )
    add("--data_dir", type=Path, metavar="DIR", help="of the IDX or .npy files, or of TFDS")
    add(
        "--num_classes",
        type=_count,
        default=10,
        metavar="N",
        help="of Quick, Draw!, up to 345 (default: %(default)s)",
    )
    add(
        "--num_drawings",
        type=_count,
        default=1000,
        metavar="N",
        help="a class, of --data_source quickdraw (default: %(default)s)",
    )
    add("--data_url", metavar="URL", help="of the .npy files (default: Google's public storage)")


def _add_export_arguments(parser: FlagParser) -> None:
    add = parser.add_argument
    add(
        "--serving_batch_size",
        type=int,
        default=1,
        metavar="N",
        help="batch size of the signature; -1 takes any (default: %(default)s)",
    )
    parser.add_boolean("compile_model", default=True, help="compile the whole graph with XLA")
    parser.add_boolean(
        "image_signatures",
        default=False,
        help="add signatures image and classify, which take PNG or JPEG files",
    )
    parser.add_boolean("with_gradient", default=False, help="keep gradients, for fine-tuning")
    parser.add_boolean(
        "xla", default=True, help="an XLA module; --no_xla: plain operations, for any server"
    )
    add(
        "--platforms",
        type=listed(str),
        default=("cpu",),
        metavar="cpu,cuda",
        help="what the model shall run on (default: cpu)",
    )
    add(
        "--target",
        default="serving-2.19",
        metavar="serving-2.19|serving-2.20|serving-2.21",
        help="oldest runtime that must be able to load it (default: %(default)s)",
    )
    parser.add_boolean("test_savedmodel", default=True, help="compare with JAX before publishing")
    for name, meaning in (("rtol", "relative to JAX's number"), ("atol", "absolute")):
        add(
            f"--{name}",
            type=float,
            metavar="X",
            help=f"how far a float may be from JAX's, {meaning} (default: as its dtype allows)",
        )
    parser.add_boolean(
        "allow_non_finite",
        default=False,
        help="publish although an output is NaN or infinite at all inputs that are compared",
    )
    parser.add_boolean("overwrite", default=False, help="replace the version if it exists")
    parser.add_boolean(
        "retrain",
        default=True,
        help="export although there is a version for the --platforms; --noretrain: leave it so",
    )
    add(
        "--keep_versions",
        type=_positive,
        metavar="N",
        help="remove all but the N newest versions once the new one is published (default: none)",
    )


def export_options(args: argparse.Namespace) -> ExportOptions:
    """How to export, as the flags say."""
    from exporter.publish.options import ExportOptions

    return ExportOptions(
        version=args.model_version,
        serving_batch_size=args.serving_batch_size,
        compile_model=args.compile_model,
        with_gradient=args.with_gradient,
        xla=args.xla,
        platforms=args.platforms,
        target=args.target,
        overwrite=args.overwrite,
        verify=args.test_savedmodel,
        tolerance=_tolerance(args),
        allow_non_finite=args.allow_non_finite,
    )


def _tolerance(args: argparse.Namespace) -> Tolerance | None:
    """One for all outputs, where a flag says so."""
    from artifact.manifest import Tolerance

    given = {k: v for k in ("rtol", "atol") if (v := getattr(args, k)) is not None}
    return replace(Tolerance(), **given) if given else None


def data_options(args: argparse.Namespace) -> DataOptions:
    """Where the data come from, as the flags say."""
    from exporter.training import models
    from exporter.training.datasets import DataOptions, download

    return DataOptions(
        source=args.data_source or models.get(args.model).data_source,
        data_dir=args.data_dir,
        num_classes=args.num_classes,
        num_drawings=args.num_drawings,
        data_url=args.data_url or download.OFFICIAL,
    )


def train_options(args: argparse.Namespace, definition: ModelDefinition) -> TrainOptions:
    """How to train, as the flags say, and as suits the model where they say nothing."""
    from exporter.training.loop import TrainOptions

    return TrainOptions(
        num_epochs=definition.num_epochs if args.num_epochs is None else args.num_epochs,
        batch_size=(
            definition.batch_size if args.train_batch_size is None else args.train_batch_size
        ),
        seed=args.seed,
        learning_rate=args.learning_rate,
        checkpoint_dir=args.checkpoint_dir,
        metrics_file=args.metrics_file,
    )


def model_dir(args: argparse.Namespace) -> Path | Address:
    """Where the versions of the model are that the flags name."""
    if args.build:
        from exporter.model.build import default_name

        return below(args, args.name or default_name(args.build))
    from exporter.training import models

    definition = models.get(args.model)
    name = definition.exported_name(with_classifier=args.model_classifier_layer)
    return below(args, name)


def below(args: argparse.Namespace, name: str) -> Path | Address:
    """Where the versions of a model of that name are."""
    try:
        place: Path | Address = args.model_path / name
    except AddressError as error:
        raise UserError(
            f"{args.model_path}: {name!r} can't be a model's name there: {error}"
        ) from None
    return place


def _version(text: str) -> int | str:
    return text if text == "auto" else _count(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number
