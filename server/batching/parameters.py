"""How calls are batched, and TensorFlow Serving's file for it."""

from __future__ import annotations

import bisect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf import text_format

from server.errors import invalid
from wire import serving_pb2 as pb

# Source of the defaults of TensorFlow Serving's file: shared_batch_scheduler.h, QueueOptions.
_FILE_MAX_BATCH_SIZE = 1000
_FILE_MAX_ENQUEUED_BATCHES = 10

# How much faster another size must be, to be worth rows that wait or are padded.
_CLEARLY = 1.15
# The share of the best rate from which on a batch needn't grow.
_NEARLY = 0.9
# What an execution costs beside its own time: a thread is woken, a batch put together and cut.
_OVERHEAD_S = 0.0005
_FINE_FROM = 16  # from here on, there are four sizes where there is one power of two


@dataclass(frozen=True)
class Sizes:
    """The numbers of rows that an execution may have.

    Attributes:
        largest: At most so many rows.
        allowed: Ascending, the last one equal to `largest`; empty: any up to it.
        seconds: How long an execution of each allowed size takes; empty where that isn't known.
        is_single: An execution is for one row, whatever its size.
    """

    largest: int
    allowed: tuple[int, ...] = ()
    seconds: Mapping[int, float] = field(default_factory=dict, compare=False)
    is_single: bool = False

    def up(self, rows: int) -> int:
        """Returns the size for so many rows: the smallest, unless a larger one is faster.

        Compilers choose other code for other sizes, and one can be a multiple slower than its
        neighbours.
        """
        if not self.allowed:
            return min(rows, self.largest)
        first = min(bisect.bisect_left(self.allowed, rows), len(self.allowed) - 1)
        smallest = self.allowed[first]
        if not self.seconds:
            return smallest
        fastest = min(self.allowed[first:], key=self.seconds.__getitem__)
        is_clear = self.seconds[smallest] > _CLEARLY * self.seconds[fastest]
        return fastest if is_clear else smallest

    def best(self, rows: int) -> int:
        """Returns the size that gives the most rows a second, for so many that wait.

        It may be smaller than their number: the rest then is the next execution's.
        """
        size = self.up(rows)
        if not self.seconds:
            return size

        def rate(size: int) -> float:
            return min(size, rows) / (self.seconds[size] + _OVERHEAD_S)

        fastest = max((s for s in self.allowed if s <= size), key=rate)
        return fastest if rate(fastest) > _CLEARLY * rate(size) else size

    def enough(self) -> int:
        """Returns the rows from which on more of them hardly make an execution more efficient."""
        if not self.seconds:
            return self.largest
        rate = {size: size / seconds for size, seconds in self.seconds.items()}
        best = max(rate.values())
        return min(size for size in self.allowed if rate[size] >= _NEARLY * best)


def steps(largest: int) -> Sizes:
    """Returns 1, 2, 4, 8, 16, 20, 24, 28, 32, 40, … up to and including the largest size."""
    powers = [1 << n for n in range(largest.bit_length())]
    quarters = [power * n // 4 for power in powers if power >= _FINE_FROM for n in (5, 6, 7)]
    below = sorted(size for size in powers + quarters if size < largest)
    return Sizes(largest, (*below, largest))


def only(sizes: Sequence[int]) -> Sizes:
    """Returns exactly these sizes, given in ascending order."""
    return Sizes(sizes[-1], tuple(sizes))


@dataclass(frozen=True)
class Parameters:
    """How calls are batched.

    Attributes:
        sizes: Rows of an execution, for signatures that don't fix them themselves.
        timeout: Seconds that the first call of a batch waits for more to come. At 0, a call
            waits only while others are executed.
        max_enqueued_batches: How many full batches may wait for each signature.
        threads: Executions at a time: one computes while another is put together.
        partial: Executions at a time of one kind of call for which less than enough rows wait.
            Further calls wait, to be executed together: side by side, small batches take each
            other's cores.
        inline: Seconds within which an execution may hold up the event loop: one that has taken
            less of late runs there when no thread runs another, which saves waking a thread.
        pad_variable_length: Merge calls whose other dimensions differ, filled up to the largest.
    """

    sizes: Sizes = field(default_factory=lambda: steps(128))
    timeout: float = 0.0
    max_enqueued_batches: int = 100
    threads: int = 2
    partial: int = field(default_factory=lambda: max((os.cpu_count() or 1) // 2, 1))
    inline: float = 0.001
    pad_variable_length: bool = False

    @property
    def compiled_sizes(self) -> Sizes:
        """Sizes for an engine that compiles each: few of them, even where any is allowed."""
        return self.sizes if self.sizes.allowed else steps(self.sizes.largest)


def parse(text: str) -> Parameters:
    """Reads a BatchingParameters message in protobuf's text format.

    Source of the rules: tensorflow_serving/servables/tensorflow/{session_bundle_config.proto,
    session_bundle_factory.cc} and batching/batching_session.cc.

    Raises:
        ServingError: the text can't be parsed, or a value is out of range.
    """
    message = pb.BatchingParameters()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise invalid(
            f"Error parsing text-format tensorflow.serving.BatchingParameters: {error}"
        ) from None
    default = Parameters()
    allowed = tuple(message.allowed_batch_sizes)
    largest = _at_least_1(message, "max_batch_size", _FILE_MAX_BATCH_SIZE)
    if allowed and list(allowed) != sorted({size for size in allowed if size > 0}):
        raise invalid("allowed_batch_sizes entries must be monotonically increasing")
    if allowed and allowed[-1] != largest:
        raise invalid(
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
            f"{allowed[-1]}; expected {largest}"
        )
    if message.batch_timeout_micros.value < 0:
        raise invalid("batch_timeout_micros must be non-negative")
    threads = _at_least_1(message, "num_batch_threads", default.threads)
    return Parameters(
        Sizes(largest, allowed),
        message.batch_timeout_micros.value / 1e6,
        _at_least_1(message, "max_enqueued_batches", _FILE_MAX_ENQUEUED_BATCHES),
        threads,
        threads if message.HasField("num_batch_threads") else default.partial,
        pad_variable_length=message.pad_variable_length_inputs,
    )


def _at_least_1(message: pb.BatchingParameters, name: str, default: int) -> int:
    value: int = getattr(message, name).value if message.HasField(name) else default
    if value < 1:
        raise invalid(f"{name} must be positive; was {value}")
    return value
