"""How calls are batched, and TensorFlow Serving's file for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from google.protobuf import text_format

from server.engines.sizes import Sizes, steps
from server.errors import invalid
from wire import serving_pb2 as pb

# Source of the defaults of TensorFlow Serving's file: shared_batch_scheduler.h, QueueOptions.
_FILE_MAX_BATCH_SIZE = 1000
_FILE_MAX_ENQUEUED_BATCHES = 10


def cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Parameters:
    """How calls are batched.

    Attributes:
        sizes: Rows of an execution, for signatures that don't fix them themselves.
        timeout: Seconds that the first call of a batch waits for more to come. At 0, a call
            waits only while others are executed.
        max_enqueued_batches: How many full batches may wait for each signature.
        threads: Executions at a time, compilation not among them: as many as there are cores, but
            two at least, so that one computes while another is put together.
        partial: Executions at a time of one kind of call for which less than enough rows wait.
            Further calls wait, to be executed together: side by side, small batches take each
            other's cores.
        inline: Seconds within which an execution may hold up the event loop: one that has taken
            less of late runs there when no thread runs another, which saves waking a thread.
        pad_variable_length: Merge calls whose other dimensions differ, filled up to the largest.
        waiting_bytes: Tensors of the calls that may wait in all queues together.
    """

    sizes: Sizes = field(default_factory=lambda: steps(128))
    timeout: float = 0.0
    max_enqueued_batches: int = 100
    threads: int = field(default_factory=lambda: max(cores(), 2))
    partial: int = field(default_factory=lambda: max(cores() // 2, 1))
    inline: float = 0.001
    pad_variable_length: bool = False
    waiting_bytes: int = 512 * 2**20

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
