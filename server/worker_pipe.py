"""A worker's end of the pipe to its supervisor: configurations that all workers take."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from server.errors import Code, ServingError
from server.model_config import ModelConfig

Configure = Callable[[Sequence[ModelConfig]], Awaitable[None]]


class WorkerPipe:
    """Passes configurations on and takes those of others."""

    def __init__(self, pipe: Connection, configure: Configure, orphaned: Callable[[], None]):
        """Takes how a configuration is applied here, and what to do without a supervisor."""
        self._pipe = pipe
        self._configure = configure
        self._orphaned = orphaned
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(pipe.fileno(), self._read)

    async def configure(self, models: Sequence[ModelConfig]) -> None:
        """Has all workers take a configuration and waits for them.

        Raises:
            ServingError: what went wrong in the first of them that failed.
        """
        number = next(self._numbers)
        done = asyncio.get_running_loop().create_future()
        self._waiting[number] = done
        self._pipe.send(("configure", number, list(models)))
        await done

    def _read(self) -> None:
        try:
            while self._pipe.poll():
                self._take(*self._pipe.recv())
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._orphaned()

    def _take(self, kind: str, number: int, content: Any) -> None:
        if kind == "configure":
            task = asyncio.get_running_loop().create_task(self._apply(number, content))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        done = self._waiting.pop(number)
        if done.done():
            return
        if content is None:
            done.set_result(None)
        else:
            done.set_exception(ServingError(Code(content[0]), content[1]))

    async def _apply(self, number: int, models: Sequence[ModelConfig]) -> None:
        error = None
        try:
            await self._configure(models)
        except ServingError as found:
            error = (int(found.code), found.message)
        self._pipe.send(("configured", number, error))
