"""Export a JAX model as a SavedModel, compare it with JAX and publish it.

The model is one of one's own, given as pkg.module:build, or one that is trained on MNIST.

The version appears as <model_path>/<model>[_features]/<version>, whole and checked, or not at all.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from artifact.buckets.address import Address
from exporter.commands import export_flags
from exporter.commands.export_flags import add_arguments
from exporter.commands.local_version import local_version

if TYPE_CHECKING:
    from exporter.commands.progress import Progress
    from exporter.model import Model
    from exporter.training.datasets import Dataset

EXAMPLES = """\
examples:
  python -m exporter --model mnist_flax --model_version auto
  python -m exporter --model mnist_pure_jax --serving_batch_size=-1 --num_epochs 1 --show_images
  python -m exporter --model mnist_flax --nomodel_classifier_layer --with_gradient
  python -m exporter --model mnist_flax --data_source idx --data_dir ~/mnist --num_epochs 5
  python -m exporter --model mnist_flax --model_version 1 --nogenerate_model    # test version 1
  python -m exporter --model mnist_flax --image_signatures    # takes PNG and JPEG files as well
  python -m exporter --model quickdraw --show_images          # ten classes, the bundled sample
  python -m exporter --model quickdraw --data_source quickdraw --num_classes 100 --num_epochs 5
  python -m exporter export my_package.model:build --name my_model --serving_batch_size=-1
  python -m exporter export my_package.model:build --no_xla   # for servers that have no XLA

a model of one's own: build() returns (func, params, inputs), the function being pure, (params,
inputs) -> outputs, and the inputs example arrays or jax.ShapeDtypeStructs, the batch leading; or
an exporter.Model, which may have several signatures, open dimensions and their constraints
"""


__all__ = ["EXAMPLES", "add_arguments", "generate", "run"]

_SHOWN = 40  # images in the picture


def run(args: argparse.Namespace) -> int:
    """Exports one model, or tests one that is there."""
    from exporter.commands.progress import Progress
    from exporter.inspect import description

    stages = Progress()
    if not args.generate_model:
        return _test(args, stages)
    if not isinstance(export_flags.model_dir(args), Path) and (
        args.keep_versions is not None or not args.retrain
    ):
        from exporter.errors import UserError

        raise UserError("--keep_versions and --noretrain are for a --model_path on a disk")
    if not args.retrain and (found := _published(args)) is not None:
        stages.note(f"{found} is published already, nothing to train (--retrain trains again)")
        if args.json:
            print(json.dumps(description.summary(found)))
        return 0
    _, published, dataset = generate(args, stages)
    if args.keep_versions is not None and isinstance(published, Path):
        from exporter.publish.retention import keep_newest

        for version in keep_newest(published.parent, args.keep_versions):
            stages.note(f"removed {published.with_name(str(version))}")
    with local_version(published) as version_dir:
        _show(args, version_dir, stages, dataset)
        if args.json:
            print(json.dumps(description.summary(version_dir)))
        elif args.show_model:
            description.print_version(version_dir)
    return 0


def _published(args: argparse.Namespace) -> Path | None:
    """The version that there is for what the flags ask for; None where there is none.

    It is the newest, or the one that is named, and it runs on all the platforms that are named.
    """
    from artifact import versions
    from artifact.manifest import Manifest, ManifestError

    model_dir = export_flags.model_dir(args)
    if not isinstance(model_dir, Path):
        return None
    found = versions.find(model_dir)
    version = max(found, default=0) if args.model_version == "auto" else args.model_version
    if version not in found:
        return None
    try:
        known = Manifest.read(found[version])
    except (OSError, ManifestError):  # a version of other origin, or a broken one
        return None
    return found[version] if {*known.platforms} >= {*args.platforms} else None


def generate(
    args: argparse.Namespace, stages: Progress
) -> tuple[Model, Path | Address, Dataset | None]:
    """Trains or builds a model and publishes a version of it, as the flags say.

    Returns:
        The model, the version's directory or address, and what it was trained on, if it was.

    Raises:
        UserError: the flags, the data or the model are no good; see `exporter.export`.
    """
    from exporter.commands.quiet import import_tensorflow
    from exporter.errors import UserError
    from exporter.publish.destination import of
    from exporter.publish.export import export_model

    if not args.build and (args.params or args.name):
        raise UserError("--params and --name are for a model of one's own: pkg.module:build")
    if args.build and args.image_signatures:
        raise UserError(
            "--image_signatures is for the models that are trained here; let build() return an "
            "exporter.Model with processed={…}"
        )
    options = export_flags.export_options(args)
    of(export_flags.model_dir(args)).check_version(options.version, overwrite=options.overwrite)
    dataset = None if args.build else _load(args, stages)
    model = _own(args, stages) if dataset is None else _trained(args, dataset)
    published = export_model(
        model,
        export_flags.below(args, model.name),
        options,
        stage=stages,
        import_tensorflow=import_tensorflow,
    )
    checked = "" if options.verify else ", not compared with JAX (--notest_savedmodel)"
    stages.note(f"published {published}{checked}")
    return model, published, dataset


def _load(args: argparse.Namespace, stages: Progress) -> Dataset:
    from exporter.training.datasets import load

    with stages("load the data"):
        return load(export_flags.data_options(args))


def _own(args: argparse.Namespace, stages: Progress) -> Model:
    from exporter.model import build

    with stages(f"build {args.build}"):
        return build.load(args.build, args.name, args.params)


def _trained(args: argparse.Namespace, dataset: Dataset) -> Model:
    from exporter.training import models, parallel
    from exporter.training.image_signatures import image_signatures
    from exporter.training.loop import train
    from exporter.verify.cases import MAX_EXAMPLES

    parallel.use_cpu_cores()
    definition = models.get(args.model).for_classes(len(dataset.classes))
    result = train(definition, dataset, export_flags.train_options(args, definition))
    model = definition.model(
        result.params,
        with_classifier=args.model_classifier_layer,
        examples=dataset.test.examples(MAX_EXAMPLES),
        metrics=result.metrics,
    )
    if not args.image_signatures:
        return model
    classes = dataset.classes if args.model_classifier_layer else None
    return replace(model, processed=image_signatures(classes))


def _test(args: argparse.Namespace, stages: Progress) -> int:
    """Tests the version that is there: files, differences from JAX, accuracy on the test images."""
    from artifact import versions
    from exporter.errors import UserError

    model_dir = export_flags.model_dir(args)
    if isinstance(model_dir, Address):
        is_latest = args.model_version == "auto"
        with local_version(model_dir if is_latest else model_dir / args.model_version) as directory:
            return _test_version(args, directory, stages)
    published = versions.find(model_dir)
    version = max(published, default=1) if args.model_version == "auto" else args.model_version
    if version not in published:
        raise UserError(f"{model_dir}: there is no version {version} to test")
    return _test_version(args, published[version], stages)


def _test_version(args: argparse.Namespace, version_dir: Path, stages: Progress) -> int:
    from artifact import program
    from exporter.inspect import description
    from exporter.training.accuracy import accuracy
    from exporter.verify.published import recheck

    found = recheck(version_dir, stage=stages)
    answer = description.comparison(found.manifest, found.parity)
    dataset = None
    if args.model_classifier_layer and not args.build:
        dataset = _load(args, stages)
        with stages("measure the accuracy on the test images"):
            (signature, entry), *_ = found.manifest.signatures.items()
            (name,), (output,) = entry.inputs, entry.outputs
            run_program = program.load(version_dir, signature).run
            answer["test_accuracy"] = accuracy(
                lambda images: run_program({name: images})[output], dataset.test
            )
        _show(args, version_dir, stages, dataset)
    if args.json:
        print(json.dumps(answer))
        return 0
    if args.show_model:
        description.print_version(version_dir)
    description.print_comparison(found.manifest, found.parity)
    if dataset is not None:
        print(f"accuracy on {len(dataset.test)} test images: {answer['test_accuracy']:.2%}")
    return 0


def _show(
    args: argparse.Namespace, version_dir: Path, stages: Progress, dataset: Dataset | None
) -> None:
    """Draws real images with the version's inferences and its confusions, where asked for."""
    if not args.show_images:
        return
    if isinstance(args.model_path, Address):
        stages.note("no images drawn: they would stand beside the version, in the bucket")
        return
    if dataset is None or not args.model_classifier_layer:
        stages.note("no images drawn: that takes a classifier that was trained here")
        return
    from artifact import golden
    from artifact.golden import EXAMPLES as REAL
    from exporter.inspect import pictures

    (found,) = (case for (_, name), case in golden.read(version_dir).items() if name == REAL)
    (images,), (scores,), labels = found.inputs.values(), found.outputs.values(), found.labels
    assert labels is not None  # every dataset has them
    for name, figure in {
        "images": pictures.grid(
            images[:_SHOWN], labels[:_SHOWN], scores[:_SHOWN], classes=dataset.classes
        ),
        "confusion": pictures.confusion(labels, scores, dataset.classes),
    }.items():
        path = version_dir.with_name(f"{name}-{version_dir.name}.png")
        pictures.save_png(figure, path)
        stages.note(f"drew {path}")
