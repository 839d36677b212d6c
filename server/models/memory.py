"""Memory of what has been unloaded goes back to the system."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import sys


def trim() -> None:
    """Returns the memory of unloaded versions to the system.

    JAX's caches keep what it traced for hundreds of programs, glibc the memory that is free.
    Executables of loaded versions aren't in those caches.
    """
    if (jax := sys.modules.get("jax")) is not None:
        jax.clear_caches()
    if (release := _malloc_trim()) is not None:
        release(0)


@functools.cache
def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    name = ctypes.util.find_library("c")
    return getattr(ctypes.CDLL(name), "malloc_trim", None) if name else None
