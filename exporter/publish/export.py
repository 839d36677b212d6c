"""From a model to a published version: trace, save, verify, publish."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from exporter.commands.quiet import import_tensorflow
from exporter.convert.xla import target
from exporter.errors import CheckFailed
from exporter.model import Model, checks
from exporter.publish import staging
from exporter.publish.options import ExportOptions
from exporter.verify import check

# Wraps each stage of an export; it is given a line that says what happens in it.
Stage = Callable[[str], AbstractContextManager[None]]


def export(
    model: Model,
    base_path: str | Path,
    options: ExportOptions | None = None,
    *,
    stage: Stage = lambda text: contextlib.nullcontext(),
) -> Path:
    """Exports a model as a SavedModel, compares it with JAX and publishes it.

        version_dir = export(model, "models", ExportOptions(version="auto"))

    Args:
        model: The function, its parameters and the specs of its inputs.
        base_path: Where the models' directories are.
        options: How; see `ExportOptions`.
        stage: Shows progress.

    Returns:
        The version's directory, `<base_path>/<model>/<version>`.

    Raises:
        UserError: the model can't be exported, the version exists, or the disk is full.
        CheckFailed: an output differs from JAX's; nothing was published.
    """
    options = options or ExportOptions()
    model_dir = Path(base_path) / model.name
    staging.check_version(model_dir, options.version, overwrite=options.overwrite)
    target.get(options.target)
    checks.check(model)
    if options.verify:
        check.check_platforms(options.platforms)
    with contextlib.ExitStack() as stack:
        # It starts while the version is being written.
        process = stack.enter_context(check.reloader(options.platforms)) if options.verify else None
        with stage("start TensorFlow"):
            import_tensorflow()
            from exporter.publish.writing import write
        staged = stack.enter_context(staging.staging(model_dir))
        with stage("convert to a SavedModel"):
            manifest, unpublished = write(model, staged, options)
        if process is not None:
            is_auto = options.version == staging.AUTO
            number = staging.next_version(model_dir) if is_auto else options.version
            label = f"{model.name}/{number}"
            with stage("compare with JAX in a fresh process"):
                try:
                    parity = check.check(staged, label, process, unpublished)
                except CheckFailed as error:
                    raise CheckFailed(f"{error}; nothing was published") from None
                manifest = replace(manifest, parity=parity)
        with stage("publish"):
            return staging.publish(
                staged,
                options.version,
                overwrite=options.overwrite,
                seal=lambda version: replace(manifest, version=version).write(staged),
            )
