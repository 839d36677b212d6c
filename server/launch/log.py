"""The server's log."""

from __future__ import annotations

import logging


def start() -> None:
    """Sends the log to standard error."""
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO
    )
    logging.getLogger("jax").setLevel(logging.WARNING)  # it tells which devices aren't there
