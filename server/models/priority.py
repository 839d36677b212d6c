"""Computation makes way for requests that have just come in."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

_NICENESS = 10  # of 19


def step_back() -> None:
    """Marks the calling thread as one that computes when nobody else does, as far as possible.

    On Linux, where threads have a niceness of their own: setpriority(2).
    """
    give_way()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def give_way() -> None:
    """Marks the calling thread, and those that it will start, as busy with long computations.

    Linux then doesn't let them interrupt another thread when they wake up; their share of the
    cores stays the same. Elsewhere nothing happens. Source: sched(7), SCHED_BATCH.
    """
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
