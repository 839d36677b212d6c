"""Writing a version: all that its directory holds but its number and its comparisons with JAX."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax

from artifact import golden, versions
from artifact.manifest import Manifest, Parameter, Tolerance, digest_files
from exporter.convert import plain_ops, saved_model
from exporter.convert.converter import Converter
from exporter.convert.plain_ops import UnsupportedPrimitive
from exporter.convert.xla import conversion, target
from exporter.errors import UserError
from exporter.model import SERVING_DEFAULT, Model
from exporter.model.entry import entries
from exporter.model.parameters import shape_of_parameter
from exporter.publish import provenance, warmup
from exporter.publish.content import SignatureContent, keyed, of_function, of_processed
from exporter.publish.options import ExportOptions
from exporter.signatures.plan import plans
from exporter.storage import disk
from exporter.trace.trace import trace
from exporter.trace.traced import TracedSignature
from exporter.verify.check import Cases


def write(model: Model, directory: Path, options: ExportOptions) -> tuple[Manifest, Cases]:
    """Writes all that a version holds, with version 0 in its manifest and no comparisons.

    Returns:
        The manifest, and the cases that the version's golden examples don't hold.

    Raises:
        UserError: the model can't be traced or converted.
    """
    traced = {
        name: trace(entry, options.serving_batch_size, options.platforms)
        for name, entry in entries(model).items()
    }
    processed = plans(model, traced)
    try:
        keys = saved_model.save(
            traced,
            directory,
            _converter(options),
            plans=processed,
            compile_model=options.compile_model and options.xla,
            with_gradient=options.with_gradient,
        )
    except UnsupportedPrimitive as error:
        raise UserError(f"{model.name} can't be exported with --no_xla: {error}") from None
    # The parameters of a big model take the disk as long as all the rest takes the processor.
    with disk.syncing(directory / "variables"):
        extra = directory / versions.EXTRA
        extra.mkdir(exist_ok=True)
        contents = {name: of_function(found, extra, options) for name, found in traced.items()}
        for name, plan in processed.items():
            base = contents[plan.entry]
            contents[name] = of_processed(name, plan, traced[plan.entry], base, options)
        golden.write(directory, keyed(contents.values()))
        warmup.write(directory, model.name, contents.values())
        manifest = _manifest(model, list(contents.values()), traced, keys, options)
        manifest = replace(manifest, digests=digest_files(directory))
        manifest.write(directory)
    return manifest, keyed(contents.values(), unpublished=True)


def _converter(options: ExportOptions) -> Converter:
    if not options.xla:
        return plain_ops.to_tensorflow
    return partial(
        conversion.to_tensorflow,
        target=target.get(options.target),
        with_gradient=options.with_gradient,
    )


def _manifest(
    model: Model,
    contents: Sequence[SignatureContent],
    traced: Mapping[str, TracedSignature],
    keys: Mapping[str, str],
    options: ExportOptions,
) -> Manifest:
    parameters = []
    paths = traced[SERVING_DEFAULT].parameter_paths
    for path, value in zip(paths, jax.tree.leaves(model.params), strict=True):
        aval = shape_of_parameter(value)
        name = "/".join(path)
        parameters.append(Parameter(name, keys[name], tuple(aval.shape), aval.dtype.name))
    return Manifest(
        model=model.name,
        version=0,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        signatures={content.name: content.record for content in contents},
        parameters=tuple(parameters),
        platforms=options.platforms,
        git_commit=provenance.git_commit(),
        source=model.source,
        versions=provenance.package_versions(target.get(options.target) if options.xla else None),
        metrics=dict(model.metrics),
        tolerance=options.tolerance or Tolerance(),
        untried={content.name: content.untried for content in contents if content.untried},
    )
