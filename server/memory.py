"""Memory of what has been unloaded goes back to the system."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools


def trim() -> None:
    """Returns free memory to the system, where the C library can: glibc keeps it otherwise."""
    if (release := _malloc_trim()) is not None:
        release(0)


@functools.cache
def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    name = ctypes.util.find_library("c")
    return getattr(ctypes.CDLL(name), "malloc_trim", None) if name else None
