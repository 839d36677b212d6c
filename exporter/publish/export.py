"""From a model to a published version: trace, write, verify, publish."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from artifact.buckets.address import Address
from exporter.convert.xla import target
from exporter.errors import CheckFailed
from exporter.model import Model, PyTree, checks
from exporter.model.from_function import model_from_function
from exporter.publish import destination
from exporter.publish.options import AUTO, ExportOptions
from exporter.verify.check import check
from exporter.verify.process import check_platforms, reloader

# Wraps each stage of an export; it is given a line that says what happens in it.
Stage = Callable[[str], AbstractContextManager[None]]


def no_stage(text: str) -> AbstractContextManager[None]:
    """Shows nothing."""
    return contextlib.nullcontext()


def export(
    func: Callable[[PyTree, PyTree], PyTree],
    params: PyTree,
    example_inputs: PyTree,
    model_dir: str | Path | Address,
    options: ExportOptions | None = None,
    *,
    stage: Stage = no_stage,
) -> Path | Address:
    """Exports a function with its parameters as the next version of a model.

    The version is compared with JAX in a fresh process before it appears. By default it takes any
    batch size.

    Example:
        exporter.export(func, params, np.zeros((1, 28, 28, 1), np.float32), "models/my_model")

    Args:
        func: Pure function `(params, inputs) -> outputs`; any pytrees, leading axis the batch.
        params: Pytree of arrays.
        example_inputs: Pytree of examples (arrays), shapes (`jax.ShapeDtypeStruct`) or
            `TensorSpec`s, in the structure that `func` takes. The leading axis of the first array
            or shape is taken for the batch, and of all others that are as long; `TensorSpec`s say
            themselves what is open. Arrays are kept in the version, with JAX's answers to them.
        model_dir: The model's directory, or its address in a bucket (`s3://bucket/models/mine`,
            `gs://`, `hf://`); its name is the model's.
        options: How; see `ExportOptions`.
        stage: Shows progress.

    Returns:
        The version's directory or address, `<model_dir>/<version>`.

    Raises:
        UserError: the function can't be exported, the version exists, the disk is full, or the
            bucket can't be written.
        CheckFailed: an output differs from JAX's; nothing was published.
    """
    model = model_from_function(destination.of(model_dir).name, func, params, example_inputs)
    return export_model(model, model_dir, options, stage=stage)


def export_model(
    model: Model,
    model_dir: str | Path | Address,
    options: ExportOptions | None = None,
    *,
    stage: Stage = no_stage,
    import_tensorflow: Callable[[], None] | None = None,
) -> Path | Address:
    """Exports a model, of several signatures maybe, as its next version; else as `export`.

    Example:
        exporter.export_model(model, "models/my_model", ExportOptions(with_gradient=True))

    Args:
        model: The functions, their parameters and the specs of their inputs.
        model_dir: The model's directory or address; its name is the model's, whatever `model` says.
        options: How; see `ExportOptions`.
        stage: Shows progress.
        import_tensorflow: Called when TensorFlow is needed; the command line imports it without
            its greetings.

    Returns:
        The version's directory or address, `<model_dir>/<version>`.

    Raises:
        UserError: the model can't be exported, the version exists, the disk is full, or the
            bucket can't be written.
        CheckFailed: an output differs from JAX's; nothing was published.
    """
    options = options or ExportOptions()
    place = destination.of(model_dir)
    model = replace(model, name=place.name)
    place.check_version(options.version, overwrite=options.overwrite)
    target.get(options.target)
    checks.check(model)
    if options.verify:
        check_platforms(options.platforms)
    with contextlib.ExitStack() as stack:
        # It starts while the version is being written.
        process = stack.enter_context(reloader(options.platforms)) if options.verify else None
        with stage("start TensorFlow"):
            (import_tensorflow or _import_tensorflow)()
            from exporter.publish.version import write
        staged = stack.enter_context(place.staged_version())
        with stage("convert to a SavedModel"):
            manifest, unpublished = write(model, staged, options)
        if process is not None:
            is_auto = options.version == AUTO
            number = place.next_version() if is_auto else options.version
            label = f"{model.name}/{number}"
            with stage("compare with JAX in a fresh process"):
                try:
                    parity = check(staged, label, process, unpublished)
                except CheckFailed as error:
                    raise CheckFailed(f"{error}; nothing was published") from None
                manifest = replace(manifest, parity=parity)
        with stage("publish"):
            return place.publish(
                staged,
                options.version,
                overwrite=options.overwrite,
                seal=lambda version: replace(manifest, version=version).write(staged),
            )


def _import_tensorflow() -> None:
    """Imports TensorFlow, which notes settings of its own in the environment: they go again."""
    before = dict(os.environ)
    importlib.import_module("tensorflow")
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
