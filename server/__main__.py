"""`python -m server`: from flags to a running server."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from server import flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server until it is told to end; returns the exit status."""
    options, warnings = flags.parse(sys.argv[1:] if arguments is None else arguments)
    start_logging()
    for warning in warnings:
        logging.getLogger("server").warning(warning)
    from server import process

    if options.version:
        return process.show_version()
    if options.workers > 1:
        from server import workers

        return workers.run(options)
    return process.run(options)


def start_logging() -> None:
    """Sends the log to standard error."""
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO
    )
    logging.getLogger("jax").setLevel(logging.WARNING)  # it tells which devices aren't there


if __name__ == "__main__":
    sys.exit(main())
