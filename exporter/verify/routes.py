"""The ways into a version, and which of them take a case."""

from __future__ import annotations

from dataclasses import dataclass

from artifact.golden import GoldenCase
from artifact.manifest import Manifest
from exporter.model import SERVING_DEFAULT

SIGNATURE, CALL, PROGRAM = "signature", "call", "program"

# Of many rows, as many are taken at once.
MAX_BATCH = 128


@dataclass(frozen=True)
class Route:
    """A way into a version that takes a case.

    Attributes:
        through: `SIGNATURE`, `CALL` or `PROGRAM`.
        batch_size: How many rows it is given at once; None where the model has no batch.
    """

    through: str
    batch_size: int | None


def routes(manifest: Manifest, signature: str, case: GoldenCase) -> list[Route]:
    """Returns the ways that a case has to be tried; none where a fixed export takes more rows."""
    record = manifest.signatures[signature]
    count = record.batch_size(case.inputs)
    sizes = {None} if record.program is None else {f.batch_size for f in record.program.files}
    is_whole = count is None or None in sizes or count in sizes
    found = []
    if count is None:
        found.append(Route(SIGNATURE, None))
    else:
        served = record.inputs[record.batched_inputs[0]].shape[0] or min(count, MAX_BATCH)
        if served <= count:
            found.append(Route(SIGNATURE, served))
    # A signature of TensorFlow ops around another one is neither a program nor `__call__`.
    if record.program is not None and is_whole:
        if signature == SERVING_DEFAULT:
            found.append(Route(CALL, count))
        found.append(Route(PROGRAM, count))
    return found
