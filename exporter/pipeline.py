"""From a model to a published version: trace, save, verify, publish."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import jax

from artifact import golden, versions
from artifact.golden import GoldenCase
from artifact.manifest import (
    Manifest,
    Parameter,
    Program,
    ProgramFile,
    Signature,
    Tensor,
    digest_files,
)
from exporter import cases, provenance, publish, saved_model, verify, warmup
from exporter.errors import CheckFailed
from exporter.model import Model
from exporter.options import ExportOptions
from exporter.program import Traced, shape_of_parameter, trace
from exporter.saved_model import SIGNATURE
from exporter.target import TENSORFLOW_2_19

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
    publish.check_version(model_dir, options.version, overwrite=options.overwrite)
    with contextlib.ExitStack() as stack:
        # Its start takes as long as the stages before it is needed.
        process = stack.enter_context(verify.reloader()) if options.verify else None
        staged = stack.enter_context(publish.staging(model_dir))
        with stage("convert to a SavedModel"):
            traced, manifest, unpublished = write(model, staged, options)
        if process is not None:
            label = f"{model.name}/{options.version}"
            with stage("compare with JAX in a fresh process"):
                try:
                    parity = verify.check(staged, label, process, unpublished)
                except CheckFailed as error:
                    raise CheckFailed(f"{error}; nothing was published") from None
                manifest = replace(manifest, parity=parity)
        with stage("publish"):
            return publish.publish(
                staged,
                options.version,
                overwrite=options.overwrite,
                seal=lambda version: replace(manifest, version=version).write(staged),
            )


def write(
    model: Model, directory: Path, options: ExportOptions
) -> tuple[Traced, Manifest, Mapping[tuple[str, str], GoldenCase]]:
    """Writes all that a version holds, with version 0 in its manifest and no comparisons.

    Returns:
        What was traced, the manifest, and the cases that `__call__` takes but the signature
        doesn't, which the version's golden examples don't hold.
    """
    traced = trace(model, options.serving_batch_size, options.platforms)
    keys = saved_model.save(
        model,
        traced,
        directory,
        target=TENSORFLOW_2_19,
        compile_model=options.compile_model,
        with_gradient=options.with_gradient,
    )
    extra = directory / versions.EXTRA
    extra.mkdir(exist_ok=True)
    files = []
    for program in traced.programs:
        suffix = "" if program.batch_size is None else f".batch_{program.batch_size}"
        file = ProgramFile(f"{SIGNATURE}{suffix}.jax_export", program.batch_size)
        (extra / file.file).write_bytes(program.exported.serialize())
        files.append(file)
    fixed = [p.batch_size for p in traced.programs if p.batch_size is not None]
    answers = cases.random_cases(model, traced, fixed or options.check_batch_sizes, options.seed)
    served = {cases.batch_name(size) for size in fixed[:1] or options.check_batch_sizes}
    kept = {name: case for name, case in answers.items() if name in served}
    rest = {name: case for name, case in answers.items() if name not in served}
    golden.write(
        directory, cases.flat({**kept, **cases.example_case(model, traced)}, SIGNATURE)
    )
    warmup_sizes = fixed[:1] or options.warmup_batch_sizes
    warm = cases.random_cases(model, traced, warmup_sizes, options.seed)
    warmup.write(directory, model.name, SIGNATURE, warm.values())
    manifest = _manifest(model, traced, keys, tuple(files), options)
    manifest = replace(manifest, digests=digest_files(directory))
    manifest.write(directory)
    return traced, manifest, cases.flat(rest, SIGNATURE)


def _manifest(
    model: Model,
    traced: Traced,
    keys: Mapping[str, str],
    files: tuple[ProgramFile, ...],
    options: ExportOptions,
) -> Manifest:
    exported = traced.serving.exported
    count = len(traced.parameter_paths)
    inputs = [
        Tensor(_shape(aval.shape), spec.dtype)
        for aval, spec in zip(exported.in_avals[count:], traced.input_specs, strict=True)
    ]
    outputs = [Tensor(_shape(aval.shape), aval.dtype.name) for aval in exported.out_avals]
    parameters = []
    for path, value in zip(traced.parameter_paths, jax.tree.leaves(model.params), strict=True):
        aval = shape_of_parameter(value)
        name = "/".join(path)
        parameters.append(Parameter(name, keys[name], tuple(aval.shape), aval.dtype.name))
    return Manifest(
        model=model.name,
        version=0,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        signatures={
            SIGNATURE: Signature(
                dict(zip(traced.input_names, inputs, strict=True)),
                dict(zip(traced.output_names, outputs, strict=True)),
                program=Program(tuple(traced.input_names), tuple(traced.output_names), files),
            )
        },
        parameters=tuple(parameters),
        platforms=options.platforms,
        git_commit=provenance.git_commit(),
        versions=provenance.package_versions(TENSORFLOW_2_19),
        metrics=dict(model.metrics),
        tolerance=options.tolerance,
    )


def _shape(shape: tuple[object, ...]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)
