"""A line of JSON for each request."""

from __future__ import annotations

import logging
import os
import sys
import time

import orjson

from server.telemetry.line_writer import LineWriter

logger = logging.getLogger(__name__)


class AccessLog:
    """Notes requests in a file, or on standard output; no request waits for it or fails with it."""

    def __init__(self, path: str) -> None:
        """Opens the file to append to it.

        Args:
            path: `-` for standard output.

        Raises:
            OSError: the file can't be opened.
        """
        self._is_own = path != "-"
        if self._is_own:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        else:
            self._descriptor = sys.stdout.fileno()
        self._writer = LineWriter(self._descriptor, f"the access log {path}", logger.error)

    def write(self, entry: dict[str, object]) -> None:
        """Notes a request and the time."""
        try:
            line = orjson.dumps({"time": time.time(), **entry}, default=str)
        except orjson.JSONEncodeError:
            logger.exception("the access log lacks a line")
            return
        self._writer.write(line + b"\n")

    def close(self) -> None:
        """Writes what waits, and closes the file."""
        self._writer.close()
        if self._is_own:
            os.close(self._descriptor)
