"""Answers that have the same bits in any company: `--exact`.

That rows don't mix is proven when a version is exported. What is left is how sums are rounded:
XLA compiles another program for each batch size, and one program may treat the last rows of a
batch otherwise than the first. So one size is the measure of a signature, and every answer has the
bits that its program gives. It is the same in all processes, for it is chosen by the bits alone.
Other sizes are used where they give the same bits at each of their places; that is tried when the
version is loaded. Where no size gives a row the same bits in each place, each row is executed by
itself, in the same place of the same program.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from artifact import golden
from server.engines.engine import Engine
from server.engines.signatures import ModelSignature
from server.engines.sizes import Sizes
from server.errors import ServingError
from server.inference.batching import preparation, tensors
from server.inference.batching.tensors import Tensors

logger = logging.getLogger(__name__)

# The size that is the measure is near this one: the sizes around it have the same bits most often,
# for smaller ones are products of a matrix and a vector, and larger ones are cut for the caches.
_MEASURE = 16
_CANDIDATES = 3
# Each place of each size is tried with as many rows.
_ROWS_A_PLACE = 8
# Rows are drawn on several scales: functions are computed by other formulas far from zero.
_SCALES = (1.0, 30.0, 1e-3)
# Sizes that aren't tried by then aren't used, which costs time and changes no answer.
_SECONDS = 6.0


def sizes(
    engine: Engine,
    signatures: Mapping[str, ModelSignature],
    row_wise: frozenset[str],
    wanted: Sizes,
    version_dir: Path,
) -> dict[str, Sizes]:
    """Returns, for each signature with independent rows, the sizes that give equal bits.

    Args:
        engine: Has loaded the version.
        signatures: The version's.
        row_wise: Those whose rows are proven to be independent. Requests for others are run as
            they come: an answer is the whole request's, but nobody else's.
        wanted: Sizes for signatures that take any.
        version_dir: Has golden examples, whose inputs are among the rows that are tried.
    """
    examples = _examples(version_dir)
    found = {}
    for name, signature in sorted(signatures.items()):
        if name not in row_wise:
            logger.info("signature %s is run as requests come: its rows aren't proven", name)
            continue
        try:
            smallest = min(engine.batch_sizes(name) or [_leading(signature)])
        except ServingError as error:  # there is no program, as its callers will hear
            logger.info("signature %s: %s", name, error.message)
            continue
        try:
            usable = _equal_sizes(engine, signature, wanted, examples.get(name, {}))
            why = "its bits depend on the place in a batch"
        except Exception as error:  # such as strings that can't be made up
            usable, why = None, str(error)
        if usable is None:
            logger.info("signature %s is run row by row: %s", name, why)
            usable = Sizes(smallest, (smallest,), is_single=True)
        else:
            logger.info("signature %s has equal bits in batches of %s", name, usable.allowed)
        found[name] = usable
    return found


def run(
    engine: Engine, signature: str, inputs: Tensors, outputs: Sequence[str], sizes: Sizes
) -> dict[str, np.ndarray]:
    """Runs inputs of any number of rows in those sizes alone; else as `Engine.run`."""
    rows = tensors.count_rows(inputs)
    is_fitting = not sizes.is_single and rows in sizes.allowed
    if rows is None or is_fitting:  # None: to hear what is wrong with them
        return engine.run(signature, inputs, outputs)
    parts = []
    for part, count in tensors.chunks(inputs, 1 if sizes.is_single else sizes.largest):
        padded = tensors.merge([part], sizes.up(count))
        found = engine.run(signature, padded, outputs)
        parts.append({name: array[:count] for name, array in found.items()})
    return tensors.join(parts)


def _leading(signature: ModelSignature) -> int:
    """The rows that a graph insists on; 1 where it takes any number."""
    return max([1, *(t.shape[0] for t in signature.inputs.values() if t.shape)])


def _equal_sizes(
    engine: Engine, signature: ModelSignature, wanted: Sizes, examples: Tensors
) -> Sizes | None:
    """The sizes that give a row the same bits in all their places; None where none does."""
    allowed = preparation.allowed_sizes(engine, signature, wanted)
    if not allowed:
        raise ValueError("its tensors have other open dimensions, or no rows")
    rows = _rows(signature, allowed[-1] + _ROWS_A_PLACE, examples)

    def answers(start: int, size: int) -> list[bytes]:
        inputs = {name: array[start : start + size] for name, array in rows.items()}
        return _bits(engine.run(signature.name, inputs, signature.output_names), size)

    by_distance = sorted(allowed, key=lambda size: (abs(math.log2(size / _MEASURE)), size))
    count = len(next(iter(rows.values())))
    for measure in by_distance[:_CANDIDATES]:
        starts = [*range(_ROWS_A_PLACE), *range(_ROWS_A_PLACE, count - measure, measure)]
        expected: dict[int, bytes] = {}
        if _agrees(answers, measure, [*starts, count - measure], expected):
            break
    else:
        return None
    end = time.perf_counter() + _SECONDS
    seconds = {}
    # Powers of two first: they'll do where there is no time for all.
    for size in sorted(by_distance, key=lambda size: size.bit_count() > 1):
        if size != measure:
            if time.perf_counter() > end:
                break
            if not _agrees(answers, size, range(_ROWS_A_PLACE), expected):
                continue
        start = time.perf_counter()
        answers(0, size)
        took = time.perf_counter() - start
        if took < preparation.LONGEST_S or size <= measure:
            seconds[size] = took
    return preparation.timed(lambda size: answers(0, size), seconds)


def _agrees(
    answers: Callable[[int, int], list[bytes]],
    size: int,
    starts: Sequence[int],
    expected: dict[int, bytes],
) -> bool:
    """Whether rows have the bits that are expected of them; notes those of new rows."""
    for start in starts:
        for row, bits in enumerate(answers(start, size), start):
            if expected.setdefault(row, bits) != bits:
                return False
    return True


def _bits(outputs: Tensors, size: int) -> list[bytes]:
    """The bits of each row, over all outputs.

    Raises:
        ValueError: an output has other rows.
    """
    if any(array.shape[:1] != (size,) for array in outputs.values()):
        raise ValueError("its outputs have other rows")
    return [
        b"".join(
            repr(array[row]).encode() if array.dtype.hasobject else array[row].tobytes()
            for array in outputs.values()
        )
        for row in range(size)
    ]


def _examples(version_dir: Path) -> dict[str, dict[str, np.ndarray]]:
    """The inputs of each signature's golden examples, all rows of the cases that fit together."""
    try:
        cases = golden.read(version_dir)
    except (OSError, ValueError):
        return {}
    found: dict[str, list[Tensors]] = {}
    for (signature, _), case in cases.items():
        found.setdefault(signature, []).append(case.inputs)
    return {
        signature: tensors.join([part for part in parts if _fit(part, parts[0])])
        for signature, parts in found.items()
        if all(array.ndim for array in parts[0].values())
    }


def _fit(one: Tensors, other: Tensors) -> bool:
    return tensors.layout(one, ranks_only=False) == tensors.layout(other, ranks_only=False)


def _rows(signature: ModelSignature, count: int, examples: Tensors) -> dict[str, np.ndarray]:
    """Random rows on several scales, with an example in every second place.

    Raises:
        ValueError: an input is a string: files and tf.Examples aren't worth a batch.
    """
    known = tensors.count_rows(examples)
    rows = preparation.random_rows(signature, count)
    for name, array in rows.items():
        if array.dtype.kind not in "biu":
            for place, scale in enumerate(_SCALES):
                array[place :: len(_SCALES)] *= array.dtype.type(scale)
        if known is not None:
            places = np.arange(0, count, 2)
            array[places] = examples[name][places // 2 % known]
    return rows
