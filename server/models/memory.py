"""What is loaded stays out of the way, and the memory of what is unloaded goes back."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import gc
import sys


def keep() -> None:
    """Takes all objects that there are now out of Python's searches for cycles, until `trim`.

    A search among the half a million of JAX and TensorFlow stops all threads for a tenth of a
    second, and any client can set one off by sending many short lists.
    """
    gc.collect()
    gc.freeze()


def trim() -> None:
    """Returns the memory of unloaded versions to the system.

    JAX's caches keep what it traced for hundreds of programs, glibc the memory that is free.
    Executables of loaded versions aren't in those caches.
    """
    if (jax := sys.modules.get("jax")) is not None:
        jax.clear_caches()
    gc.unfreeze()
    keep()
    release()


def release() -> None:
    """Returns to the system what glibc keeps of memory that is free."""
    if (trimmed := _malloc_trim()) is not None:
        trimmed(0)


@functools.cache
def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    name = ctypes.util.find_library("c")
    return getattr(ctypes.CDLL(name), "malloc_trim", None) if name else None
