"""The commands' exit codes."""

from __future__ import annotations

FAILED, USAGE, UNREACHED, INTERRUPTED = 1, 2, 3, 130  # 130: what a shell reports after Ctrl-C
_REFUSED = (
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "UNIMPLEMENTED",
)
_UNREACHED = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def code_for(status: str) -> int:
    """Returns the exit code for a refusal with a gRPC status name."""
    if status in _UNREACHED:
        return UNREACHED
    return USAGE if status in _REFUSED else FAILED
