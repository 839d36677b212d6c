"""What `--exact` takes in the engine alone: calls with it and without, in turn.

Of each, the fastest twentieth counts: on a busy machine the rest shows the others' work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from server.engines.engine import EngineOptions
from server.engines.sizes import Sizes
from server.inference.batching import exact, preparation
from server.inference.batching.parameters import Parameters
from server.loading.loader import Loader

_SIGNATURE = "serving_default"
_ROWS = (1, 2, 8, 16, 32, 128)
_CALLS = 200
_COUNTED = 20  # one in so many


def measure(version_dir: Path) -> dict[int, tuple[float, float]]:
    """Returns, by the rows of a call, its milliseconds without `--exact` and with it.

    Raises:
        ServingError: the version can't be loaded by the xla engine.
        KeyError: its rows aren't proven to be independent.
    """
    loader = Loader(
        EngineOptions(engine="xla"), batch_sizes=Parameters().compiled_sizes, is_exact=True
    )
    servable = loader(version_dir.parent.name, int(version_dir.name), version_dir)
    found, signature = servable.batches[_SIGNATURE], servable.signatures[_SIGNATURE]
    # Without their times, the smallest size that is large enough: else a moment would decide.
    sizes = Sizes(found.largest, found.allowed, is_single=found.is_single)
    rows = preparation.random_rows(signature, max(_ROWS))
    outputs, engine = signature.output_names, servable.engine
    measured = {}
    for count in _ROWS:
        inputs = {name: array[:count] for name, array in rows.items()}
        plain = partial(engine.run, _SIGNATURE, inputs, outputs)
        plain()  # compiles
        measured[count] = _fastest(
            plain, partial(exact.run, engine, _SIGNATURE, inputs, outputs, sizes)
        )
    return measured


def _fastest(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """The milliseconds of two calls that are made in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(_CALLS):
        for kept, call in zip(seconds, (one, other), strict=True):
            start = time.perf_counter()
            call()
            kept.append(time.perf_counter() - start)
    first, second = (1000 * sorted(kept)[_CALLS // _COUNTED] for kept in seconds)
    return first, second
