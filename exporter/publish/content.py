"""What a version holds of one signature: its record, golden examples and warm-up requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from artifact import portable
from artifact.errors import ModuleError
from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import ProgramFile, ProgramRecord, SignatureRecord, Tensor
from exporter.errors import UserError
from exporter.model.entry import Entry
from exporter.publish.options import ExportOptions
from exporter.signatures.plan import ProcessingPlan, served_shape
from exporter.trace.rows import prove_signature
from exporter.trace.traced import TracedSignature
from exporter.verify.answers import answer
from exporter.verify.cases import batch_name, collect
from exporter.verify.inputs import Arrays, draw, usable_batch_sizes

# Of a processed signature's checked requests, as many are warm-up records, the smallest ones.
_WARMUP_CASES = 2


@dataclass(frozen=True)
class SignatureContent:
    """One signature of a version.

    Attributes:
        name: Its name.
        record: What the manifest says of it.
        golden: Inputs and JAX's answers that the version keeps, by name.
        warmup: Inputs of the warm-up requests.
        unpublished: Cases that are compared and not kept: at the edges of dtypes, and of batch
            sizes that `__call__` takes and a fixed export's signature doesn't.
        untried: At which edges it isn't compared, and why; empty where at all.
    """

    name: str
    record: SignatureRecord
    golden: Mapping[str, GoldenCase]
    warmup: Sequence[Arrays]
    unpublished: Mapping[str, GoldenCase] = field(default_factory=dict)
    untried: str = ""


def of_function(traced: TracedSignature, extra: Path, options: ExportOptions) -> SignatureContent:
    """Returns the content of a signature that is one of the model's functions.

    Args:
        traced: The signature.
        extra: The version's `assets.extra`, where its JAX programs are written.
        options: Which batch sizes are checked and warmed up.

    Raises:
        UserError: the function answers the same inputs differently the second time, or an output
            has no finite number anywhere.
    """
    entry, fixed = traced.entry, traced.fixed_batch_sizes
    found = collect(
        traced,
        options.check_batch_sizes,
        seed=options.seed,
        tolerance=options.tolerance,
        allow_non_finite=options.allow_non_finite,
    )
    record = replace(_record(traced, _write_programs(traced, extra)), tolerances=found.tolerances)
    served = {batch_name(size) for size in fixed[:1]} or found.random.keys()
    kept = {name: case for name, case in found.random.items() if name in served}
    sizes = fixed[:1] or usable_batch_sizes(entry, options.warmup_batch_sizes)
    return SignatureContent(
        entry.name,
        record,
        {**kept, **found.examples},
        [draw(entry, size, options.seed) for size in sizes],
        {name: case for name, case in {**found.random, **found.edges}.items() if name not in kept},
        found.untried,
    )


def of_processed(
    name: str,
    plan: ProcessingPlan,
    traced: TracedSignature,
    base: SignatureContent,
    options: ExportOptions,
) -> SignatureContent:
    """Returns the content of a processed signature.

    Args:
        name: Its name.
        plan: What is around the function in the middle.
        traced: The signature in the middle.
        base: That signature's content.
        options: Which batch sizes are checked.
    """
    golden = _processed_cases(plan, traced, base.golden, options)
    # Its scores are those of the function in the middle.
    loosest = max(base.record.tolerances.values(), key=lambda t: t.rtol)
    record = SignatureRecord(
        plan.tensors,
        plan.outputs,
        plan.method,
        processing=plan.to_json(),
        tolerances=dict.fromkeys(plan.outputs, loosest),
        # What is around the function works on one file or example after the other.
        row_wise=base.record.row_wise,
        row_wise_refusal=base.record.row_wise_refusal,
    )
    # The examples may be more than the signature takes at a time.
    warmup = [case.inputs for kind, case in golden.items() if kind != EXAMPLES][:_WARMUP_CASES]
    return SignatureContent(name, record, golden, warmup)


def keyed(
    contents: Iterable[SignatureContent], *, unpublished: bool = False
) -> dict[tuple[str, str], GoldenCase]:
    """Returns the golden cases, or the unpublished ones, by signature and name."""
    return {
        (content.name, name): case
        for content in contents
        for name, case in (content.unpublished if unpublished else content.golden).items()
    }


def _write_programs(traced: TracedSignature, extra: Path) -> tuple[ProgramFile, ...]:
    files = []
    for trace in traced.traces:
        suffix = "" if trace.batch_size is None else f".batch_{trace.batch_size}"
        try:
            serialized, record = portable.write(trace.exported, len(trace.param_shapes))
        except ModuleError as error:
            raise UserError(f"{trace.label} can't be written as StableHLO: {error}") from None
        file = ProgramFile(f"{traced.entry.name}{suffix}.stablehlo", trace.batch_size, record)
        (extra / file.file).write_bytes(serialized)
        files.append(file)
    return tuple(files)


def _record(traced: TracedSignature, files: tuple[ProgramFile, ...]) -> SignatureRecord:
    specs = traced.entry.specs
    verdict = prove_signature(traced)
    return SignatureRecord(
        {
            name: Tensor(served_shape(shape.shape), specs[name].dtype)
            for name, shape in traced.input_shapes.items()
        },
        {
            name: Tensor(served_shape(shape.shape), shape.dtype.name)
            for name, shape in traced.output_shapes.items()
        },
        program=ProgramRecord(tuple(specs), tuple(traced.output_names), files),
        row_wise=verdict.is_proven,
        row_wise_refusal=verdict.refusal,
    )


def _processed_cases(
    plan: ProcessingPlan,
    traced: TracedSignature,
    real: Mapping[str, GoldenCase],
    options: ExportOptions,
) -> dict[str, GoldenCase]:
    """Random requests to a processed signature, and the real inputs of its entry if there are."""
    # Pillow is imported where images are processed, which most models aren't.
    from exporter.signatures import requests

    entry: Entry = traced.entry
    run = partial(answer, entry)

    def case(batch_size: int) -> GoldenCase:
        return requests.random_case(
            plan,
            lambda attempt: draw(entry, batch_size, options.seed + attempt),
            run,
            batch_size,
            np.random.default_rng(options.seed + batch_size),
        )

    sizes = traced.fixed_batch_sizes[:1] or usable_batch_sizes(entry, options.check_batch_sizes)
    found = {batch_name(size): case(size) for size in sizes}
    example = requests.example_case(plan, real[EXAMPLES], run) if EXAMPLES in real else None
    return found | ({} if example is None else {EXAMPLES: example})
