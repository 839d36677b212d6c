"""The supervisor's end of the pipe to one worker."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

# What was asked or answered, the number of the question, the content.
Message = tuple[str, int, Any]


class WorkerLink:
    """Sends and receives on threads: a worker that stops in the middle of a message blocks nobody.

    The threads end with the worker, for the pipe does.
    """

    def __init__(self, pipe: Connection, heard: Callable[[Message], None]) -> None:
        """Takes the pipe and what to do, on a thread, with what comes."""
        self._pipe = pipe
        self._heard = heard
        self._outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        for work, name in ((self._read, "hear"), (self._write, "tell")):
            threading.Thread(target=work, name=name, daemon=True).start()

    def send(self, message: Message) -> None:
        """Sends a message when the worker takes it."""
        self._outbox.put(message)

    def close(self) -> None:
        """Sends nothing more."""
        self._outbox.put(None)

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._heard(self._pipe.recv())

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # it is dying, and will be buried
            while (message := self._outbox.get()) is not None:
                self._pipe.send(message)
        self._pipe.close()
