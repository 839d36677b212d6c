"""What a call is told that isn't executed."""

from __future__ import annotations

from server.errors import Code, ServingError


class Overloaded(ServingError):
    """The queue is full: UNAVAILABLE in gRPC as in TensorFlow Serving, 429 in HTTP."""

    http_status = 429

    def __init__(self, waiting: str) -> None:
        super().__init__(
            Code.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full; "
            f"{waiting} are waiting",
        )


def expired() -> ServingError:
    """Returns the answer to a call whose deadline passed in the queue."""
    return ServingError(
        Code.DEADLINE_EXCEEDED, "Run() timeout exceeded while waiting in batching queue"
    )


def hopeless(needed: float, left: float) -> ServingError:
    """Returns the answer to a call that couldn't be answered in time; both are seconds."""
    return ServingError(
        Code.DEADLINE_EXCEEDED,
        f"the calls in the batching queue take {needed:.3g} s, this one's deadline is in "
        f"{left:.3g} s; it was not executed",
    )
