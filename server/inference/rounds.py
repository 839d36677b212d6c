"""A bound on what is read or written in each round of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque

_ROUND_BYTES = 256 * 1024  # of JSON: some two milliseconds


class Rounds:
    """Lets work of so many bytes go on in each round of the event loop; lives on one loop.

    A round is as long as what all requests do in it, and whoever is new waits for its end. What is
    too short for a thread, whose hand-over costs as much as the work itself, goes on here: some of
    it in this round, the rest in those that follow, first come, first served.
    """

    def __init__(self, round_bytes: int = _ROUND_BYTES) -> None:
        self._round_bytes = round_bytes
        self._left = round_bytes
        self._is_used = False  # in this round
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, size: int) -> bool:
        """Takes room in this round; False where there is none, or others wait for it already.

        The first of a round has room, whatever its size.
        """
        if self._waiting or (self._is_used and size > self._left):
            return False
        if not self._is_used:
            self._is_used = True
            asyncio.get_running_loop().call_soon(self._next)
        self._left -= size
        return True

    async def wait(self, size: int) -> None:
        """Waits for room."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        await turn

    def _next(self) -> None:
        """Begins a round."""
        self._left, self._is_used = self._round_bytes, False
        while self._waiting:
            size, turn = self._waiting[0]
            if turn.done():  # its request is gone
                self._waiting.popleft()
                continue
            if self._is_used and size > self._left:
                break
            self._waiting.popleft()
            self._left -= size
            self._is_used = True
            turn.set_result(None)
        if self._is_used:
            asyncio.get_running_loop().call_soon(self._next)
