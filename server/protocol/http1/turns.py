"""Turns: requests that a client sends ahead of its answers wait for those of other clients."""

from __future__ import annotations

import asyncio
from collections import deque

_AT_A_TIME = 16


class Turns:
    """Lets only so many go on in each round of the event loop.

    A round is as long as what all connections do in it, and takes in one new connection
    (libuv's accept): clients that pipeline by the thousands must not make it long.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Waits for a turn, first come, first served."""
        turn = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._next)
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        for _ in range(min(_AT_A_TIME, len(self._waiting))):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
        if self._waiting:
            self._loop.call_soon(self._next)
