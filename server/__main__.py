"""`python -m server`: from flags to a running server."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from server.launch import flags, log


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server until it is told to end; returns the exit status."""
    options, warnings = flags.parse(sys.argv[1:] if arguments is None else arguments)
    log.start()
    for warning in warnings:
        logging.getLogger("server").warning(warning)
    from server.launch import process

    if options.version:
        return process.show_version()
    if options.workers > 1:
        from server.launch import workers

        return workers.run(options)
    return process.run(options)


if __name__ == "__main__":
    sys.exit(main())
