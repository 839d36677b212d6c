"""Lines to a file or a pipe, written by a thread: nobody waits for it or fails with it."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

_MAX_WAITING_BYTES = 16 * 2**20
_MAX_BATCH_BYTES = 2**20
_CLOSE_S = 2.0  # for what waits at the end


class LineWriter:
    """Writes lines in their order; those that a slow or full disk keeps waiting too long are lost.

    Attributes:
        lost: Lines that weren't written since the last complaint.
    """

    def __init__(self, descriptor: int, name: str, complain: Callable[[str], None]) -> None:
        """Takes an open file, what it is called, and whom to tell, once, that it can't be written.

        Args:
            descriptor: Stays the caller's.
            name: For complaints.
            complain: Called on the writing thread, and from `write` where too much waits.
        """
        self._descriptor = descriptor
        self._name = name
        self._complain = complain
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._is_closed = False
        self._is_cut = False  # the last line was written in part
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name=f"write {name}", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Hands over a line that ends with a newline; returns at once."""
        with self._changed:
            if self._waiting + len(line) <= _MAX_WAITING_BYTES:
                self._lines.append(line)
                self._waiting += len(line)
                self._changed.notify()
                return
        self._lose(1, "it takes lines too slowly")

    def close(self) -> None:
        """Writes what waits, for two seconds at most."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_S)

    def flush(self) -> None:
        """Waits until all is written, for two seconds at most."""
        end = time.monotonic() + _CLOSE_S
        while self._waiting and self._thread.is_alive() and time.monotonic() < end:
            time.sleep(0.001)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._is_closed:
                    self._changed.wait()
                if not self._lines:
                    return
                batch, size = [], 0
                while self._lines and size < _MAX_BATCH_BYTES:
                    batch.append(self._lines.popleft())
                    size += len(batch[-1])
            self._put(batch)
            with self._changed:
                self._waiting -= size

    def _put(self, batch: list[bytes]) -> None:
        data = memoryview((b"\n" if self._is_cut else b"") + b"".join(batch))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            self._is_cut = self._is_cut if not written else data[written - 1] != ord("\n")
            self._lose(len(batch), str(error))
            return
        self._is_cut = False
        if self.lost:
            lost, self.lost = self.lost, 0
            self._complain(f"{self._name} is written again; {lost} lines are lost")

    def _lose(self, count: int, problem: str) -> None:
        if not self.lost:
            self._complain(f"{self._name} can't be written ({problem}); requests go on without")
        self.lost += count
