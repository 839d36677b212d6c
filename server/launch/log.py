"""The server's log."""

from __future__ import annotations

import logging

from server.telemetry.line_writer import LineWriter

_STANDARD_ERROR = 2
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Handler(logging.Handler):
    """Writes to standard error by a thread: a pipe that nobody reads must not stall the server."""

    def __init__(self) -> None:
        super().__init__()
        self._writer = LineWriter(_STANDARD_ERROR, "standard error", lambda problem: None)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record).encode(errors="replace") + b"\n")
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        self._writer.flush()


def start() -> None:
    """Sends the log to standard error."""
    logging.basicConfig(format=_FORMAT, level=logging.INFO, handlers=[_Handler()])
    logging.getLogger("jax").setLevel(logging.WARNING)  # it tells which devices aren't there
