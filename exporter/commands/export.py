"""Export a JAX model as a SavedModel, compare it with JAX and publish it.

The model is one of one's own, given as pkg.module:build, or one that is trained on MNIST.

The version appears as <model_path>/<model>[_features]/<version>, whole and checked, or not at all.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.flags import FlagParser, listed

if TYPE_CHECKING:
    from exporter.datasets import Dataset
    from exporter.model import Model
    from exporter.options import ExportOptions
    from exporter.stages import Stages

EXAMPLES = """\
examples:
  python -m exporter --model mnist_flax --model_version auto
  python -m exporter --model mnist_pure_jax --serving_batch_size=-1 --num_epochs 1 --show_images
  python -m exporter --model mnist_flax --nomodel_classifier_layer --with_gradient
  python -m exporter --model mnist_flax --data_source idx --data_dir ~/mnist --num_epochs 5
  python -m exporter --model mnist_flax --model_version 1 --nogenerate_model    # test version 1
  python -m exporter --model quickdraw --show_images          # ten classes, the bundled sample
  python -m exporter --model quickdraw --data_source quickdraw --num_classes 100 --num_epochs 5
  python -m exporter export my_package.model:build --name my_model --serving_batch_size=-1

a model of one's own: build() returns (func, params, inputs), the function being pure, (params,
inputs) -> outputs, and the inputs example arrays or jax.ShapeDtypeStructs, the batch leading; or
an exporter.Model, which may have several signatures, open dimensions and their constraints
"""


_SHOWN = 40  # images in the picture


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
        type=Path,
        default=Path("models"),
        metavar="DIR",
        help="directory of all models (default: %(default)s)",
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
    parser.add_boolean("with_gradient", default=False, help="keep gradients, for fine-tuning")
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
    parser.add_boolean("overwrite", default=False, help="replace the version if it exists")


def run(args: argparse.Namespace) -> int:
    """Exports one model, or tests one that is there."""
    from exporter import description
    from exporter.stages import Stages

    stages = Stages()
    if not args.generate_model:
        return _test(args, stages)
    _, version_dir, dataset = generate(args, stages)
    _show(args, version_dir, stages, dataset)
    if args.json:
        print(json.dumps(description.summary(version_dir)))
    elif args.show_model:
        description.print_version(version_dir)
    return 0


def generate(args: argparse.Namespace, stages: Stages) -> tuple[Model, Path, Dataset | None]:
    """Trains or builds a model and publishes a version of it, as the flags say.

    Returns:
        The model, the version's directory, and what it was trained on, if it was.

    Raises:
        UserError: the flags, the data or the model are no good; see `exporter.pipeline.export`.
    """
    from exporter import publish
    from exporter.errors import UserError
    from exporter.pipeline import export

    if not args.build and (args.params or args.name):
        raise UserError("--params and --name are for a model of one's own: pkg.module:build")
    options = _options(args)
    publish.check_version(_model_dir(args), options.version, overwrite=options.overwrite)
    dataset = None if args.build else _load(args, stages)
    model = _own(args, stages) if dataset is None else _trained(args, dataset)
    version_dir = export(model, args.model_path, options, stage=stages)
    checked = "" if options.verify else ", not compared with JAX (--notest_savedmodel)"
    stages.note(f"published {version_dir}{checked}")
    return model, version_dir, dataset


def _options(args: argparse.Namespace) -> ExportOptions:
    from exporter.options import ExportOptions

    return ExportOptions(
        version=args.model_version,
        serving_batch_size=args.serving_batch_size,
        compile_model=args.compile_model,
        with_gradient=args.with_gradient,
        platforms=args.platforms,
        target=args.target,
        overwrite=args.overwrite,
        verify=args.test_savedmodel,
    )


def _load(args: argparse.Namespace, stages: Stages) -> Dataset:
    from exporter import models
    from exporter.datasets import DataOptions, download, load

    options = DataOptions(
        source=args.data_source or models.get(args.model).data_source,
        data_dir=args.data_dir,
        num_classes=args.num_classes,
        num_drawings=args.num_drawings,
        data_url=args.data_url or download.OFFICIAL,
    )
    with stages("load the data"):
        return load(options)


def _own(args: argparse.Namespace, stages: Stages) -> Model:
    from exporter import own

    with stages(f"build {args.build}"):
        return own.load(args.build, args.name, args.params)


def _trained(args: argparse.Namespace, dataset: Dataset) -> Model:
    from exporter import cases, models, parallel
    from exporter.training import TrainOptions, train

    parallel.use_cpu_cores()
    definition = models.get(args.model).for_classes(len(dataset.classes))
    result = train(
        definition,
        dataset,
        TrainOptions(
            num_epochs=definition.num_epochs if args.num_epochs is None else args.num_epochs,
            batch_size=(
                definition.batch_size if args.train_batch_size is None else args.train_batch_size
            ),
            seed=args.seed,
            learning_rate=args.learning_rate,
            checkpoint_dir=args.checkpoint_dir,
            metrics_file=args.metrics_file,
        ),
    )
    return definition.model(
        result.params,
        with_classifier=args.model_classifier_layer,
        examples=dataset.test.examples(cases.MAX_EXAMPLES),
        metrics=result.metrics,
    )


def _test(args: argparse.Namespace, stages: Stages) -> int:
    """Tests the version that is there: files, differences from JAX, accuracy on the test images."""
    from artifact import program, versions
    from exporter import description
    from exporter.accuracy import accuracy
    from exporter.errors import UserError
    from exporter.recheck import recheck

    published = versions.find(_model_dir(args))
    version = max(published, default=1) if args.model_version == "auto" else args.model_version
    if version not in published:
        raise UserError(f"{_model_dir(args)}: there is no version {version} to test")
    found = recheck(published[version], stage=stages)
    answer = description.comparison(found.manifest, found.parity)
    dataset = None
    if args.model_classifier_layer and not args.build:
        dataset = _load(args, stages)
        with stages("measure the accuracy on the test images"):
            (signature, entry), *_ = found.manifest.signatures.items()
            (name,), (output,) = entry.inputs, entry.outputs
            run_program = program.load(published[version], signature).run
            answer["test_accuracy"] = accuracy(
                lambda images: run_program({name: images})[output], dataset.test
            )
        _show(args, published[version], stages, dataset)
    if args.json:
        print(json.dumps(answer))
        return 0
    if args.show_model:
        description.print_version(published[version])
    description.print_comparison(found.manifest, found.parity)
    if dataset is not None:
        print(f"accuracy on {len(dataset.test)} test images: {answer['test_accuracy']:.2%}")
    return 0


def _show(
    args: argparse.Namespace, version_dir: Path, stages: Stages, dataset: Dataset | None
) -> None:
    """Draws real images with the version's inferences and its confusions, where asked for."""
    if not args.show_images:
        return
    if dataset is None or not args.model_classifier_layer:
        stages.note("no images drawn: that takes a classifier that was trained here")
        return
    from artifact import golden
    from artifact.golden import EXAMPLES as REAL
    from exporter.images import draw_confusion, draw_grid

    (found,) = (case for (_, name), case in golden.read(version_dir).items() if name == REAL)
    (images,), (scores,), labels = found.inputs.values(), found.outputs.values(), found.labels
    assert labels is not None  # every dataset has them
    for name, draw in {
        "images": lambda path: draw_grid(
            path, images[:_SHOWN], labels[:_SHOWN], scores[:_SHOWN], classes=dataset.classes
        ),
        "confusion": lambda path: draw_confusion(path, labels, scores, dataset.classes),
    }.items():
        path = version_dir.with_name(f"{name}-{version_dir.name}.png")
        draw(path)
        stages.note(f"drew {path}")


def _model_dir(args: argparse.Namespace) -> Path:
    if args.build:
        from exporter.own import default_name

        return Path(args.model_path) / (args.name or default_name(args.build))
    suffix = "" if args.model_classifier_layer else "_features"
    return Path(args.model_path) / f"{args.model}{suffix}"


def _version(text: str) -> int | str:
    return text if text == "auto" else _count(text)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number
