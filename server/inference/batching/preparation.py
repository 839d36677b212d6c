"""Which signatures of a version can be batched, and their programs compiled beforehand."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from server.engines.engine import Engine
from server.engines.signatures import ModelSignature
from server.engines.sizes import Sizes

logger = logging.getLogger(__name__)

# A size that takes longer is as large as batches get: who waits behind it waits that long.
LONGEST_S = 0.25
# A size that would take longer than this isn't tried before smaller ones tell more of it.
_RISKY_S = 4 * LONGEST_S
# All sizes are timed in turn, again and again, and the fastest run of each counts: other work on
# the machine would otherwise decide which look slow.
_ROUNDS = 5
_RUNS = 2  # one after the other, so that the second finds the caches as under a steady load
_ROUNDS_S = 0.3
_SEED = 0


class Preparation:
    """Compiles and times the batch sizes of a version's signatures, the most useful ones first.

    It may take minutes: each size is a program that is compiled. After any of them there are
    sizes to serve with.

    Attributes:
        sizes: Of the signatures whose calls may be merged; the rest are left out.
    """

    def __init__(
        self, engine: Engine, signatures: Mapping[str, ModelSignature], row_wise: frozenset[str],
        wanted: Sizes,
    ) -> None:  # fmt: skip
        """Takes what is prepared.

        Args:
            engine: Has loaded the version.
            signatures: The version's.
            row_wise: Those whose rows are proven to be independent.
            wanted: Sizes for signatures that take any.
        """
        self._open: list[_Candidate] = []
        self.sizes: dict[str, Sizes] = {}
        for name, signature in signatures.items():
            if name not in row_wise:
                logger.info("signature %s is not batched: its rows aren't proven", name)
                continue
            try:
                allowed = allowed_sizes(engine, signature, wanted)
                if allowed:
                    self._open.append(_Candidate(engine, signature, allowed))
            except Exception as error:  # the model's own trouble, which its callers will hear of
                logger.info("signature %s is not batched: %s", name, error)

    def run(self, seconds: float) -> bool:
        """Prepares the first size of each signature, then others as long as there is time.

        Returns:
            Whether all is done.
        """
        for candidate in list(self._open):
            self._step(candidate)
        end = time.monotonic() + seconds
        self._go_on(lambda: time.monotonic() < end)
        self._measure(self._open)
        return not self._open

    def finish(
        self, is_wanted: Callable[[], bool], tell: Callable[[Mapping[str, Sizes]], None]
    ) -> None:
        """Prepares the rest, as long as it is wanted, and tells the sizes after each that is added.

        Each telling is a new mapping, complete in itself.
        """
        while self._open and is_wanted():
            some = list(self._open)
            for candidate in some:
                if is_wanted():
                    self._step(candidate)
            self._measure(some)
            tell(dict(self.sizes))

    def _go_on(self, may: Callable[[], bool]) -> None:
        while self._open:
            for candidate in list(self._open):
                if not may():
                    return
                self._step(candidate)

    def _step(self, candidate: _Candidate) -> None:
        """Prepares one size of a signature."""
        name = candidate.signature.name
        try:
            candidate.step()
        except Exception as error:
            logger.info("signature %s is not batched beyond what it is: %s", name, error)
            candidate.todo.clear()
        if not candidate.todo:
            self._open.remove(candidate)
            self._measure([candidate])

    def _measure(self, candidates: Sequence[_Candidate]) -> None:
        for candidate in candidates:
            name = candidate.signature.name
            try:
                usable = candidate.usable()
            except Exception as error:
                logger.info("signature %s is not batched: %s", name, error)
                usable = None
            if usable is not None:
                self.sizes[name] = usable
            else:
                self.sizes.pop(name, None)


class _Candidate:
    """A signature that may be batched.

    Attributes:
        todo: Sizes that aren't prepared yet.
    """

    def __init__(self, engine: Engine, signature: ModelSignature, allowed: Sequence[int]) -> None:
        self.signature = signature
        self.todo = by_use(allowed)
        self._engine = engine
        self._rows = random_rows(signature, allowed[-1])
        self._seconds: dict[int, float] = {}

    def step(self) -> None:
        """Compiles the next size and times it.

        Raises:
            ValueError: the outputs have other rows: the signature can't be batched.
            Exception: as the engine reports it.
        """
        size = self._next()
        self._run(size)  # compiles
        start = time.perf_counter()
        answers = self._run(size)
        took = time.perf_counter() - start
        if any(array.shape[:1] != (size,) for array in answers.values()):
            self._seconds.clear()
            raise ValueError("its outputs have other rows")
        self._seconds[size] = took
        self.todo.remove(size)
        if took > LONGEST_S:
            self.todo = [other for other in self.todo if other < size]
            self._seconds = {known: s for known, s in self._seconds.items() if known <= size}

    def usable(self) -> Sizes | None:
        """Returns the sizes that are prepared, timed in turn; None where there are none."""
        return timed(self._run, self._seconds) if self._seconds else None

    def _next(self) -> int:
        """The most useful size that won't take too long by what smaller ones took."""

        def guess(size: int) -> float:
            smaller = max((known for known in self._seconds if known < size), default=0)
            return self._seconds[smaller] * size / smaller if smaller else 0.0

        likely = (size for size in self.todo if guess(size) <= _RISKY_S)
        return next(likely, min(self.todo))

    def _run(self, size: int) -> Mapping[str, np.ndarray]:
        inputs = {name: array[:size] for name, array in self._rows.items()}
        return self._engine.run(self.signature.name, inputs, self.signature.output_names)


def by_use(allowed: Sequence[int]) -> list[int]:
    """Returns sizes by what they gain: the smallest, powers of two from afar, then those between.

    With the smallest and one other, single requests are quick and many go together.
    """
    first, *rest = sorted(allowed)
    powers = [size for size in rest if size.bit_count() == 1]
    order = [first]
    gaps = [powers]
    while gaps:
        gap = gaps.pop(0)
        if gap:
            middle = len(gap) // 2
            order.append(gap[middle])
            gaps += [gap[middle + 1 :], gap[:middle]]
    return order + [size for size in rest if size not in powers]


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


def allowed_sizes(engine: Engine, signature: ModelSignature, wanted: Sizes) -> Sequence[int]:
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


def random_rows(signature: ModelSignature, count: int) -> dict[str, np.ndarray]:
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
