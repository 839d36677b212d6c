"""Which signatures of a version can be batched, and their programs compiled beforehand."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from artifact.manifest import Manifest, ManifestError
from server.engines.engine import Engine
from server.engines.signatures import Signature
from server.engines.sizes import Sizes

logger = logging.getLogger(__name__)

# A size that takes longer is as large as batches get: who waits behind it waits that long.
LONGEST_S = 0.25
# All sizes are timed in turn, again and again, and the fastest run of each counts: other work on
# the machine would otherwise decide which look slow.
_ROUNDS = 5
_RUNS = 2  # one after the other, so that the second finds the caches as under a steady load
_ROUNDS_S = 0.3
_SEED = 0


def proven(version_dir: Path) -> frozenset[str]:
    """Returns the signatures whose rows the exporter has proven to be independent.

    None where there is no manifest: of other people's models nothing is known.
    """
    try:
        signatures = Manifest.read(version_dir).signatures
    except (OSError, ManifestError):
        return frozenset()
    return frozenset(name for name, entry in signatures.items() if entry.row_wise)


def sizes(
    engine: Engine, signatures: Mapping[str, Signature], row_wise: frozenset[str], wanted: Sizes
) -> dict[str, Sizes]:
    """Returns the batch sizes of the signatures whose calls may be merged; the rest are left out.

    The sizes are compiled before the first request comes, and each is timed.

    Args:
        engine: Has loaded the version.
        signatures: The version's.
        row_wise: Those whose rows are proven to be independent.
        wanted: Sizes for signatures that take any.
    """
    found = {}
    for name, signature in signatures.items():
        if name not in row_wise:
            logger.info("signature %s is not batched: its rows aren't proven independent", name)
            continue
        try:
            usable = _usable(engine, signature, wanted)
        except Exception as error:  # the model's own trouble, which its callers will hear of
            logger.info("signature %s is not batched: %s", name, error)
            continue
        if usable is not None:
            found[name] = usable
    return found


def _usable(engine: Engine, signature: Signature, wanted: Sizes) -> Sizes | None:
    allowed = allowed_sizes(engine, signature, wanted)
    if not allowed:
        return None
    rows = random_rows(signature, allowed[-1])
    seconds: dict[int, float] = {}

    def run(size: int) -> Mapping[str, np.ndarray]:
        inputs = {name: array[:size] for name, array in rows.items()}
        return engine.run(signature.name, inputs, signature.output_names)

    for size in allowed:
        run(size)  # compiles
        start = time.perf_counter()
        answers = run(size)
        seconds[size] = time.perf_counter() - start
        if any(array.shape[:1] != (size,) for array in answers.values()):
            logger.info("signature %s is not batched: its outputs have other rows", signature.name)
            return None
        if seconds[size] > LONGEST_S:
            break
    return timed(run, seconds)


def timed(run: Callable[[int], object], seconds: Mapping[int, float]) -> Sizes:
    """Returns sizes with the shortest time that each takes, by running them again and again.

    Args:
        run: Executes so many rows.
        seconds: What each has taken before.
    """
    shortest = dict(seconds)
    end = time.perf_counter() + _ROUNDS_S
    for size in tuple(shortest) * _ROUNDS:
        for _ in range(_RUNS):
            start = time.perf_counter()
            if start < end:
                run(size)
                shortest[size] = min(shortest[size], time.perf_counter() - start)
    return Sizes(max(shortest), tuple(sorted(shortest)), shortest)


def allowed_sizes(engine: Engine, signature: Signature, wanted: Sizes) -> Sequence[int]:
    """Returns the batch sizes that a signature can be compiled for beforehand, ascending.

    None where a tensor has no rows, as in what initialises a SavedModel, or an input has another
    open dimension: which sizes of that will come is anyone's guess.
    """
    fixed = engine.batch_sizes(signature.name)
    leading = {-1, *(fixed or ())}
    inputs, outputs = signature.inputs.values(), signature.outputs.values()
    has_rows = (
        bool(inputs)
        and all(tensor.shape and tensor.shape[0] in leading for tensor in [*inputs, *outputs])
        and all(size >= 0 for tensor in inputs for size in (tensor.shape or ())[1:])
    )
    if not has_rows:
        return ()
    return tuple(fixed) if fixed else wanted.allowed


def random_rows(signature: Signature, count: int) -> dict[str, np.ndarray]:
    """Returns random inputs of a signature: small numbers, and integers of 0 and 1.

    Raises:
        ValueError: an input is a string.
    """
    rng = np.random.default_rng(_SEED)
    rows = {}
    for name, tensor in signature.inputs.items():
        dtype = tensor.numpy_dtype
        shape = (count, *(tensor.shape or ())[1:])
        if dtype.kind in "biu":
            rows[name] = rng.integers(0, 2, shape).astype(dtype)
        elif dtype.kind == "O":
            raise ValueError("strings can't be made up")
        else:
            rows[name] = rng.standard_normal(shape).astype(dtype)
    return rows
