"""What is measured on which model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

# Rows are drawn once and sent round and round: as many as a cache of answers wouldn't hold.
_ROWS = 64
_LENGTH = 128  # tokens of a sequence: two or three sentences


@dataclass(frozen=True)
class Load:
    """A closed loop.

    Attributes:
        batch_size: Examples a request.
        in_flight: Requests at a time; each is followed by the next when it is answered.
    """

    batch_size: int
    in_flight: int


@dataclass(frozen=True)
class Window:
    """How long a load is measured.

    Attributes:
        answers: It ends with so many, whoever gives them.
        ceiling_s: A server that hasn't given them by then is slow, and shown so.
    """

    answers: int
    ceiling_s: float


@dataclass(frozen=True)
class Case:
    """A model and the loads on it.

    Attributes:
        model: Its name.
        build: `module:function` for the exporter; None: a model that it trains itself.
        about: In a line.
        loads: Closed loops.
        limit_sizes: Batch sizes at which in-process JAX is measured; the best is the limit.
        rounds: How often all is measured.
        window_s: Seconds that a load takes a server that is as fast as JAX.
        warmup_s: Seconds of the same load before.
        shares: Rates that the open loop offers, as shares of what the closed one has reached.
        curve_in_flight: The most that the open loop lets be in flight.
        guess_s: What a load takes on two cores, warm-up and slow servers included: for the
            estimate before the run.
        draw: Makes the rows to send; None: the version's golden examples.
    """

    model: str
    build: str | None
    about: str
    loads: tuple[Load, ...]
    limit_sizes: tuple[int, ...]
    rounds: int
    window_s: float
    warmup_s: float
    shares: tuple[float, ...]
    curve_in_flight: int
    guess_s: float
    draw: Callable[[], np.ndarray] | None = None

    @property
    def curve_load(self) -> Load:
        """The closed loop whose throughput the open loop's rates are shares of."""
        return max((load for load in self.loads if load.batch_size == 1), key=_in_flight)

    def window(self, load: Load, limit: float) -> Window:
        """Returns a load's window, the same for all servers.

        Args:
            load: The load.
            limit: JAX's examples a second at the load's batch size; with one request in flight, by
                one caller.
        """
        alone = load.in_flight == 1
        # A request in flight alone waits for the wire most of the time, on every server.
        wanted = self.window_s * limit / load.batch_size * (0.4 if alone else 1.0)
        answers = max(math.ceil(wanted), 2 * load.in_flight, 8)
        needed_s = answers * load.batch_size / limit
        return Window(answers, (10 if alone else 4) * needed_s)

    def quick(self) -> Case:
        """Returns the same case in a short round, to see that all works."""
        loads = (self.loads[0], self.loads[-1])
        return replace(
            self,
            loads=tuple(dict.fromkeys((*loads, self.curve_load))),
            limit_sizes=tuple(sorted({load.batch_size for load in loads})),
            rounds=1,
            window_s=self.window_s / 4,
            shares=(0.5, 1.0),
            guess_s=self.guess_s / 3,
        )


def _in_flight(load: Load) -> int:
    return load.in_flight


def _images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (_ROWS, 224, 224, 3), np.uint8)


def _tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 30522, (_ROWS, _LENGTH), np.int32)


def _loads(*pairs: tuple[int, int]) -> tuple[Load, ...]:
    return tuple(Load(*pair) for pair in pairs)


_LARGE: dict[str, Any] = {
    "limit_sizes": (1, 2, 4, 8, 16),
    "rounds": 3,
    "window_s": 1.0,
    "warmup_s": 0.5,
    "shares": (0.3, 0.6, 0.9, 1.1),
    "curve_in_flight": 32,
}
CASES = {
    case.model: case
    for case in (
        Case(
            "mnist_flax",
            None,
            "a CNN of 824,458 parameters on 28 x 28 float32 images (3 KB): bound by latency",
            _loads((1, 1), (1, 8), (1, 32), (16, 8), (16, 32), (128, 8)),
            (1, 2, 4, 8, 16, 32, 64, 128),
            rounds=5,
            window_s=0.8,
            warmup_s=0.3,
            shares=(0.1, 0.4, 0.7, 0.85, 1.0, 1.2),
            curve_in_flight=256,
            guess_s=1.4,
        ),
        Case(
            "resnet",
            "bench.models.resnet:build",
            "a CNN of ResNet-50's size on 224 x 224 uint8 images (151 KB): bound by computing, "
            "with large requests",
            loads=_loads((1, 1), (1, 8), (2, 8)),
            guess_s=3.2,
            draw=_images,
            **_LARGE,
        ),
        Case(
            "encoder",
            "bench.models.encoder:build",
            f"a transformer of MiniLM-L6's size on {_LENGTH} int32 tokens (512 bytes) of an open "
            "length: bound by computing, with small requests",
            loads=_loads((1, 1), (1, 8), (4, 8)),
            guess_s=2.2,
            draw=_tokens,
            **_LARGE,
        ),
    )
}
