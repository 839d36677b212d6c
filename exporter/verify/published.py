"""Checking a published version again: its files, its golden examples and live JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from artifact import golden, program
from artifact.golden import EXAMPLES, GoldenCase
from artifact.manifest import Manifest, ManifestError, Parity, damaged_files
from artifact.program import Program
from exporter.errors import CheckFailed, UserError
from exporter.verify import edges
from exporter.verify.check import Cases, check
from exporter.verify.inputs import Arrays, random_like
from exporter.verify.leeway import leeway
from exporter.verify.process import reloader


@dataclass(frozen=True)
class Recheck:
    """What was found: no damage, and these differences from JAX."""

    manifest: Manifest
    parity: tuple[Parity, ...]


def recheck(
    version_dir: Path,
    *,
    seed: int | None = None,
    stage: Callable[[str], AbstractContextManager[None]],
) -> Recheck:
    """Checks that a version is as it was published and still gives JAX's answers.

    Its files are compared with the manifest's digests; its SavedModel, reloaded in a fresh
    process, with the golden examples and with what JAX answers now to new random inputs and at
    the ends of dtypes.

    Args:
        version_dir: `<base>/<model>/<version>`.
        seed: Decides the new inputs; other ones each time where None.
        stage: Shows progress.

    Raises:
        UserError: it is no version that this exporter published.
        CheckFailed: a file is damaged, or an output differs.
    """
    label = f"{version_dir.parent.name}/{version_dir.name}"
    try:
        manifest = Manifest.read(version_dir)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{version_dir}: no manifest, so nothing that was exported here") from None
    except ManifestError as error:
        raise CheckFailed(str(error)) from None
    with reloader(manifest.platforms) as process:
        with stage("compare digests"):
            damaged = damaged_files(version_dir, manifest)
            if damaged:
                raise CheckFailed(
                    f"{label}: {', '.join(damaged)}: not as published (the manifest has another "
                    "digest); publish the version again"
                )
        with stage("run the JAX program at new random inputs and edges"):
            fresh = dict(_fresh_cases(version_dir, manifest, np.random.default_rng(seed)))
        with stage("compare golden examples and live JAX in a fresh process"):
            return Recheck(manifest, check(version_dir, label, process, fresh))


def _fresh_cases(
    version_dir: Path, manifest: Manifest, rng: np.random.Generator
) -> Iterator[tuple[tuple[str, str], GoldenCase]]:
    """Yields inputs like the golden examples', and at the edges, with the program's answers."""
    kept = golden.read(version_dir)
    programs = program.load_all(version_dir)
    for (signature, name), case in kept.items():
        if name == EXAMPLES:
            continue
        processing = manifest.signatures[signature].processing
        if processing is not None:
            yield (signature, name), _fresh_request(version_dir, processing, name, kept, rng)
            continue
        inputs = random_like(case.inputs, rng)
        yield (signature, name), GoldenCase(inputs, programs[signature].run(inputs))
    for signature, loaded in programs.items():
        if signature not in manifest.untried:
            cases = [case for (name, _), case in kept.items() if name == signature]
            for name, case in _edge_cases(loaded, manifest, signature, cases[0], rng):
                yield (signature, name), case


def _edge_cases(
    loaded: Program,
    manifest: Manifest,
    signature: str,
    like: GoldenCase,
    rng: np.random.Generator,
) -> Iterator[tuple[str, GoldenCase]]:
    record = manifest.signatures[signature]
    seed = int(rng.integers(1 << 31))

    def run(parameters: list[Any], inputs: Arrays) -> Arrays:
        return loaded.with_parameters(parameters).run(inputs)

    # Not at extremes: a program that is compiled may drop NaN, which JAX itself doesn't.
    for case in edges.edge_cases(
        lambda number: random_like(like.inputs, rng),
        record.batched_inputs,
        size=record.batch_size(like.inputs) or 1,
        longest=edges.longest_table(loaded.parameters),
        seed=seed,
        kinds=(edges.EDGES,),
    ):
        outputs = loaded.run(case.inputs)
        tolerances = {name: manifest.tolerance_of(signature, name) for name in outputs}
        room = leeway(
            run,
            loaded.parameters,
            case.inputs,
            outputs,
            tolerances,
            seed=seed,
            without_rank=outputs,
        )
        yield case.name, GoldenCase(case.inputs, outputs, leeway=room)


def _fresh_request(
    version_dir: Path,
    processing: Mapping[str, Any],
    name: str,
    kept: Cases,
    rng: np.random.Generator,
) -> GoldenCase:
    """A random request to a processed signature, with the independent path's answer."""
    from exporter.signatures import requests
    from exporter.signatures.plan import ProcessingPlan

    plan = ProcessingPlan.from_json(processing, version_dir)
    like = kept[plan.entry, name].inputs
    return requests.random_case(
        plan,
        lambda attempt: random_like(like, rng),
        program.load(version_dir, plan.entry).run,
        len(next(iter(like.values()))),
        rng,
    )
