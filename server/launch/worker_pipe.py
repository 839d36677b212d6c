"""A worker's end of the pipe to its supervisor: what concerns all workers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Protocol

from server.errors import Code, ServingError, internal
from server.models.model_config import Configure, ModelConfig
from server.telemetry.report import ProcessReport, Reports

logger = logging.getLogger(__name__)

# Within which the supervisor has heard of all workers, or says which of them hang.
_REPORT_SECONDS = 5.0


class Configurable(Protocol):
    """What takes a configuration: the repository."""

    async def check(self, configs: Sequence[ModelConfig]) -> None:
        """Tells whether it could be taken."""

    async def configure(self, configs: Sequence[ModelConfig]) -> None:
        """Takes it."""


class WorkerPipe:
    """Asks all workers, and answers what others ask.

    That is: whether a configuration could be taken, to take it, how the process is, and whether
    it is there at all.
    """

    def __init__(
        self,
        pipe: Connection,
        repository: Configurable,
        report: Callable[[], ProcessReport],
        orphaned: Callable[[], None],
    ) -> None:
        """Takes what a question is answered with, and what to do without a supervisor."""
        self._pipe = pipe
        self._repository = repository
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
        """Has all workers take a configuration and waits for them; none does if any refuses it.

        Raises:
            ServingError: what went wrong in the first of them that failed.
        """
        for question in ("check", "configure"):
            for error in await self._ask(question, list(models)):
                if error is not None:
                    raise ServingError(Code(error[0]), error[1])

    async def reports(self) -> Reports:
        """Returns how all workers are; None for one that isn't up, or hangs.

        Raises:
            ServingError: UNAVAILABLE, the supervisor hangs.
        """
        try:
            async with asyncio.timeout(2 * _REPORT_SECONDS):
                return await self._ask("report", None, _REPORT_SECONDS)
        except TimeoutError:
            raise ServingError(
                Code.UNAVAILABLE, f"the supervisor hasn't answered for {2 * _REPORT_SECONDS:g} s"
            ) from None

    async def _ask(self, kind: str, content: Any, patience_s: float | None = None) -> list[Any]:
        number = next(self._numbers)
        answers = self._waiting[number] = self._loop.create_future()
        self._send(kind, number, (content, patience_s))
        try:
            return await answers
        finally:
            self._waiting.pop(number, None)

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
        if kind in ("check", "configure"):
            task = self._loop.create_task(self._apply(kind, number, content))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif kind == "report":
            self._send("answer", number, self._report())
        elif kind == "ping":
            self._send("answer", number, None)
        else:
            answers = self._waiting.get(number)
            if answers is not None and not answers.done():
                answers.set_result(content)

    async def _apply(self, kind: str, number: int, models: Sequence[ModelConfig]) -> None:
        do: Configure = getattr(self._repository, kind)
        error = None
        try:
            await do(models)
        except ServingError as found:
            error = (int(found.code), found.message)
        except Exception as unexpected:  # the others must not wait for an answer for ever
            logger.exception("a configuration failed")
            error = (int(Code.INTERNAL), internal(unexpected).message)
        self._send("answer", number, error)
