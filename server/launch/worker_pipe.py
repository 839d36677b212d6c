"""A worker's end of the pipe to its supervisor: what concerns all workers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from server.errors import Code, ServingError
from server.models.model_config import Configure, ModelConfig
from server.telemetry.report import Report, Reports

_REPORT_SECONDS = 5.0  # within which a worker that is up says how it is


class WorkerPipe:
    """Asks all workers, and answers what others ask: to take a configuration, or for a report."""

    def __init__(
        self,
        pipe: Connection,
        configure: Configure,
        report: Callable[[], Report],
        orphaned: Callable[[], None],
    ) -> None:
        """Takes what a question is answered with, and what to do without a supervisor."""
        self._pipe = pipe
        self._configure = configure
        self._report = report
        self._orphaned = orphaned
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="send")
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[list[Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="pipe", daemon=True).start()
        self._send("up", 0, None)

    async def configure(self, models: Sequence[ModelConfig]) -> None:
        """Has all workers take a configuration and waits for them.

        Raises:
            ServingError: what went wrong in the first of them that failed.
        """
        for error in await self._ask("configure", list(models)):
            if error is not None:
                raise ServingError(Code(error[0]), error[1])

    async def reports(self) -> Reports:
        """Returns how all workers are; None for one that isn't up.

        Raises:
            ServingError: UNAVAILABLE, one of them hangs.
        """
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                return await self._ask("report", None)
        except TimeoutError:
            raise ServingError(
                Code.UNAVAILABLE, f"a worker hasn't answered for {_REPORT_SECONDS:g} s"
            ) from None

    async def _ask(self, kind: str, content: Any) -> list[Any]:
        number = next(self._numbers)
        answers = self._waiting[number] = self._loop.create_future()
        self._send(kind, number, content)
        return await answers

    def _send(self, kind: str, number: int, content: Any) -> None:
        # On a thread: while the supervisor sends to us, it may not take what we send.
        self._sender.submit(self._pipe.send, (kind, number, content))

    def _read(self) -> None:
        """Takes what comes, on a thread: a loop would make the pipe non-blocking."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            try:
                while True:
                    self._loop.call_soon_threadsafe(self._take, *self._pipe.recv())
            except (EOFError, OSError):
                self._loop.call_soon_threadsafe(self._orphaned)

    def _take(self, kind: str, number: int, content: Any) -> None:
        if kind == "configure":
            task = self._loop.create_task(self._apply(number, content))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif kind == "report":
            self._send("answer", number, self._report())
        else:
            answers = self._waiting.pop(number)
            if not answers.done():
                answers.set_result(content)

    async def _apply(self, number: int, models: Sequence[ModelConfig]) -> None:
        error = None
        try:
            await self._configure(models)
        except ServingError as found:
            error = (int(found.code), found.message)
        self._send("answer", number, error)
