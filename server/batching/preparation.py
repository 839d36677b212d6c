"""Which signatures of a version can be batched, and their programs compiled beforehand."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

import numpy as np

from server.batching.parameters import Sizes
from server.engines.engine import Engine
from server.signatures import Signature

logger = logging.getLogger(__name__)

# A size that takes longer is as large as batches get: who waits behind it waits that long.
_LONGEST_S = 0.25
# All sizes are timed in turn, again and again, and the fastest run of each counts: other work on
# the machine would otherwise decide which look slow.
_ROUNDS = 5
_RUNS = 2  # one after the other, so that the second finds the caches as under a steady load
_ROUNDS_S = 0.3
_SEED = 0


def sizes(engine: Engine, signatures: Mapping[str, Signature], wanted: Sizes) -> dict[str, Sizes]:
    """Returns the batch sizes of the signatures whose calls may be merged; the rest are left out.

    Merging must not change an answer, so it is tried here: random rows are run in every size
    among other neighbours, which also compiles the sizes before the first request comes, and
    shows how long each takes.

    Args:
        engine: Has loaded the version.
        signatures: The version's.
        wanted: Sizes for signatures that take any.
    """
    found = {}
    for name, signature in signatures.items():
        try:
            usable = _usable(engine, signature, wanted)
        except Exception as error:  # the model's own trouble, which its callers will hear of
            logger.info("signature %s is not batched: %s", name, error)
            continue
        if usable is not None:
            found[name] = usable
    return found


def _usable(engine: Engine, signature: Signature, wanted: Sizes) -> Sizes | None:
    if not _has_rows(signature):  # such as a SavedModel's own initialisation
        return None
    fixed = engine.batch_sizes(signature.name)
    allowed = tuple(fixed) if fixed else wanted.allowed
    if not allowed:
        return None
    rows = _random_rows(signature, allowed[-1])
    outputs = signature.output_names
    parts = {size: {name: array[-size:] for name, array in rows.items()} for size in allowed}
    seconds: dict[int, float] = {}
    first: Mapping[str, np.ndarray] = {}
    for size in allowed:
        engine.run(signature.name, parts[size], outputs)  # compiles
        start = time.perf_counter()
        answers = engine.run(signature.name, parts[size], outputs)
        seconds[size] = time.perf_counter() - start
        if any(array.shape[:1] != (size,) for array in answers.values()):
            logger.info("signature %s is not batched: its outputs have other rows", signature.name)
            return None
        # The rows of a smaller size stand at the end of the larger one, behind new neighbours.
        for name, before in first.items():
            if not _agree(answers[name][-len(before) :], before):
                logger.info(
                    "signature %s is not batched: %s of a row depends on the other rows",
                    signature.name,
                    name,
                )
                return None
        first = answers
        if seconds[size] > _LONGEST_S:
            break
    end = time.perf_counter() + _ROUNDS_S
    for size in tuple(seconds) * _ROUNDS:
        for _ in range(_RUNS):
            start = time.perf_counter()
            if start < end:
                engine.run(signature.name, parts[size], outputs)
                seconds[size] = min(seconds[size], time.perf_counter() - start)
    return Sizes(max(seconds), tuple(seconds), seconds)


def _has_rows(signature: Signature) -> bool:
    """Tells whether all tensors have an open leading dimension, and inputs no other."""
    inputs, outputs = signature.inputs.values(), signature.outputs.values()
    return (
        bool(inputs)
        and all(tensor.shape and tensor.shape[0] == -1 for tensor in [*inputs, *outputs])
        and all(size >= 0 for tensor in inputs for size in (tensor.shape or ())[1:])
    )


def _random_rows(signature: Signature, count: int) -> dict[str, np.ndarray]:
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


def _agree(one: np.ndarray, other: np.ndarray) -> bool:
    """Compares to half of the digits: sizes round differently, other neighbours change more."""
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "biuO":
        return bool(np.array_equal(one, other))
    import ml_dtypes

    tolerance = float(ml_dtypes.finfo(one.dtype).eps) ** 0.5
    wide = np.complex128 if one.dtype.kind == "c" else np.float64
    scale = float(np.nanmax(np.abs(other.astype(wide)), initial=1.0))
    return bool(
        np.allclose(
            one.astype(wide), other.astype(wide), tolerance, tolerance * scale, equal_nan=True
        )
    )
