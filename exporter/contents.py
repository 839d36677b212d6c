"""What a version directory is filled with, all but its number and its comparisons with JAX."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
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
from exporter import provenance, saved_model, warmup
from exporter.cases import batch_name, draw, example_case, random_cases
from exporter.model import Model
from exporter.options import ExportOptions
from exporter.program import Traced, shape_of_parameter, trace
from exporter.saved_model import SIGNATURE
from exporter.target import TENSORFLOW_2_19
from exporter.verify import Cases


def write(model: Model, directory: Path, options: ExportOptions) -> tuple[Manifest, Cases]:
    """Writes all that a version holds, with version 0 in its manifest and no comparisons.

    Returns:
        The manifest, and the cases that `__call__` takes but the signature doesn't, which the
        version's golden examples don't hold.
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
    answers = random_cases(model, traced, fixed or options.check_batch_sizes, options.seed)
    served = {batch_name(size) for size in fixed[:1] or options.check_batch_sizes}
    kept = {name: case for name, case in answers.items() if name in served}
    rest = {name: case for name, case in answers.items() if name not in served}
    golden.write(directory, _keyed({**kept, **example_case(model, traced)}))
    warmup_sizes = fixed[:1] or options.warmup_batch_sizes
    requests = [
        dict(zip(traced.input_names, draw(model, size, options.seed), strict=True))
        for size in warmup_sizes
    ]
    warmup.write(directory, model.name, SIGNATURE, requests)
    manifest = _manifest(model, traced, keys, tuple(files), options)
    manifest = replace(manifest, digests=digest_files(directory))
    manifest.write(directory)
    return manifest, _keyed(rest)


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


def _keyed(cases: Mapping[str, GoldenCase]) -> Cases:
    return {(SIGNATURE, name): case for name, case in cases.items()}


def _shape(shape: tuple[object, ...]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)
