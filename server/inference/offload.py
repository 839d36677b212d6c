"""Work that would keep the event loop waiting, on threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from server.inference.rounds import Rounds

A = TypeVarTuple("A")
R = TypeVar("R")

LONG = 64 * 1024  # bytes of a message that are read or written on the event loop at once
LONG_PLAIN = 256 * 1024  # bytes of plain numbers that are, in turns: see `rounds.py`
_THREADS = 4


class Offload:
    """Reads and renders what is long.

    What is called should itself do it piece by piece: a single call of a C function keeps the
    interpreter for itself, whatever thread it is on.

    Attributes:
        rounds: For what isn't worth a thread.
    """

    def __init__(self, threads: int = _THREADS) -> None:
        self.rounds = Rounds()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="convert")

    async def __call__(self, work: Callable[[*A], R], *args: *A) -> R:
        """Returns what the work comes to."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def close(self) -> None:
        """Ends the threads when their work is done."""
        self._pool.shutdown(wait=False)
