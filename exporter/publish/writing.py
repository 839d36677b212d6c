"""What a version directory is filled with, all but its number and its comparisons with JAX."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np

from artifact import golden, versions
from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import (
    Manifest,
    Parameter,
    Program,
    ProgramFile,
    Signature,
    Tensor,
    Tolerance,
    digest_files,
)
from exporter.convert import saved_model
from exporter.convert.plain_ops import converter
from exporter.convert.xla import call
from exporter.convert.xla import target as targets
from exporter.model import SERVING_DEFAULT, Model
from exporter.publish import provenance, warmup
from exporter.publish.options import ExportOptions
from exporter.signatures import plan
from exporter.signatures.plan import Plan
from exporter.storage import disk
from exporter.trace.trace import Traced, shape_of_parameter, trace
from exporter.verify.check import Cases
from exporter.verify.inputs import (
    answer,
    batch_name,
    draw,
    example_case,
    random_cases,
    usable_batch_sizes,
)

# Of dtypes with fewer digits than float32: a few units in their last place.
_TOLERANCES = {"bfloat16": Tolerance(1e-2, 1e-2), "float16": Tolerance(1e-3, 1e-3)}

# Of a processed signature's checked requests, as many are warm-up records, the smallest ones.
_WARMUP_CASES = 2


def write(model: Model, directory: Path, options: ExportOptions) -> tuple[Manifest, Cases]:
    """Writes all that a version holds, with version 0 in its manifest and no comparisons.

    Returns:
        The manifest, and the cases that `__call__` takes but the signature doesn't, which the
        version's golden examples don't hold.
    """
    entries = model.entries()
    traced = {
        name: trace(entry, options.serving_batch_size, options.platforms)
        for name, entry in entries.items()
    }
    plans = plan.plans(model, traced)
    keys = saved_model.save(
        model,
        traced,
        plans,
        directory,
        convert=_converter(options),
        compile_model=options.compile_model and options.xla,
        with_gradient=options.with_gradient,
    )
    # The parameters of a big model take the disk as long as all the rest takes the processor.
    with disk.syncing(directory / "variables"):
        extra = directory / versions.EXTRA
        extra.mkdir(exist_ok=True)
        signatures, kept, rest = {}, {}, {}
        requests: dict[str, list[Mapping[str, np.ndarray]]] = {}
        for name, entry in entries.items():
            files = _write_programs(name, traced[name], extra)
            signatures[name] = _signature(traced[name], files)
            kept[name], rest[name] = _cases(entry, traced[name], options)
            requests[name] = _warmup_requests(entry, traced[name], options)
        for name, processed in plans.items():
            entry, programs = entries[processed.entry], traced[processed.entry]
            signatures[name] = _processed_signature(processed)
            kept[name] = _processed_cases(
                processed, entry, programs, kept[processed.entry], options
            )
            requests[name] = [case.inputs for case in kept[name].values()][:_WARMUP_CASES]
        golden.write(directory, _keyed(kept))
        methods = {name: entry.method_name for name, entry in signatures.items()}
        warmup.write(directory, model.name, requests, methods)
        manifest = _manifest(model, signatures, traced, keys, options)
        manifest = replace(manifest, digests=digest_files(directory))
        manifest.write(directory)
    return manifest, _keyed(rest)


def _converter(options: ExportOptions) -> saved_model.Converter:
    if not options.xla:
        return partial(converter.to_tensorflow, with_gradient=options.with_gradient)
    target = targets.get(options.target)
    return lambda model, traced, program: call.to_tensorflow(
        program.exported, target, with_gradient=options.with_gradient
    )


def _write_programs(name: str, traced: Traced, extra: Path) -> tuple[ProgramFile, ...]:
    files = []
    for program in traced.programs:
        suffix = "" if program.batch_size is None else f".batch_{program.batch_size}"
        file = ProgramFile(f"{name}{suffix}.jax_export", program.batch_size)
        (extra / file.file).write_bytes(program.exported.serialize())
        files.append(file)
    return tuple(files)


def _cases(
    model: Model, traced: Traced, options: ExportOptions
) -> tuple[dict[str, GoldenCase], dict[str, GoldenCase]]:
    """The cases that a signature takes, and those that only `__call__` takes."""
    fixed = traced.fixed_batch_sizes
    answers = random_cases(model, traced, fixed or options.check_batch_sizes, options.seed)
    served = {batch_name(size) for size in fixed[:1]} or answers.keys()
    kept = {name: case for name, case in answers.items() if name in served}
    rest = {name: case for name, case in answers.items() if name not in served}
    return {**kept, **example_case(model, traced)}, rest


def _warmup_requests(
    model: Model, traced: Traced, options: ExportOptions
) -> list[Mapping[str, np.ndarray]]:
    sizes = traced.fixed_batch_sizes[:1] or usable_batch_sizes(model, options.warmup_batch_sizes)
    return [
        dict(zip(traced.input_names, draw(model, size, options.seed), strict=True))
        for size in sizes
    ]


def _processed_cases(
    processed: Plan,
    model: Model,
    traced: Traced,
    real: Mapping[str, GoldenCase],
    options: ExportOptions,
) -> dict[str, GoldenCase]:
    """Random requests to a processed signature, and the real inputs of its entry if there are."""
    # Pillow is imported where images are processed, which most models aren't.
    from exporter.signatures import requests

    def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        return answer(model, traced, [inputs[name] for name in traced.input_names]).outputs

    def inputs(batch_size: int, attempt: int) -> dict[str, np.ndarray]:
        seed = options.seed + attempt
        return dict(zip(traced.input_names, draw(model, batch_size, seed), strict=True))

    sizes = traced.fixed_batch_sizes[:1] or usable_batch_sizes(model, options.check_batch_sizes)
    found = {
        batch_name(size): requests.random_case(
            processed, partial(inputs, size), run, size, np.random.default_rng(options.seed + size)
        )
        for size in sizes
    }
    example = requests.example_case(processed, real[EXAMPLES], run) if EXAMPLES in real else None
    return found | ({} if example is None else {EXAMPLES: example})


def _processed_signature(processed: Plan) -> Signature:
    return Signature(
        processed.tensors, processed.outputs, processed.method, processing=processed.to_json()
    )


def _signature(traced: Traced, files: tuple[ProgramFile, ...]) -> Signature:
    exported = traced.serving.exported
    count = len(traced.parameter_paths)
    inputs = [
        Tensor(_shape(aval.shape), spec.dtype)
        for aval, spec in zip(exported.in_avals[count:], traced.input_specs, strict=True)
    ]
    outputs = [Tensor(_shape(aval.shape), aval.dtype.name) for aval in exported.out_avals]
    return Signature(
        dict(zip(traced.input_names, inputs, strict=True)),
        dict(zip(traced.output_names, outputs, strict=True)),
        program=Program(tuple(traced.input_names), tuple(traced.output_names), files),
    )


def _manifest(
    model: Model,
    signatures: Mapping[str, Signature],
    traced: Mapping[str, Traced],
    keys: Mapping[str, str],
    options: ExportOptions,
) -> Manifest:
    parameters = []
    paths = traced[SERVING_DEFAULT].parameter_paths
    for path, value in zip(paths, jax.tree.leaves(model.params), strict=True):
        aval = shape_of_parameter(value)
        name = "/".join(path)
        parameters.append(Parameter(name, keys[name], tuple(aval.shape), aval.dtype.name))
    outputs = [tensor.dtype for entry in signatures.values() for tensor in entry.outputs.values()]
    return Manifest(
        model=model.name,
        version=0,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        signatures=signatures,
        parameters=tuple(parameters),
        platforms=options.platforms,
        git_commit=provenance.git_commit(),
        source=model.source,
        versions=provenance.package_versions(targets.get(options.target) if options.xla else None),
        metrics=dict(model.metrics),
        tolerance=options.tolerance or _tolerance([p.dtype for p in parameters] + outputs),
    )


def _tolerance(names: Iterable[str]) -> Tolerance:
    """As close as the least exact of some dtypes lets one runtime's sums come to another's."""
    return max((_TOLERANCES.get(name, Tolerance()) for name in names), key=lambda t: t.rtol)


def _keyed(cases: Mapping[str, Mapping[str, GoldenCase]]) -> Cases:
    return {
        (signature, name): case
        for signature, found in cases.items()
        for name, case in found.items()
    }


def _shape(shape: tuple[object, ...]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)
