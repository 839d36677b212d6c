"""`python -m server`: from flags to a running server."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from server import flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server until it is told to end; returns the exit status."""
    options, warnings = flags.parse(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO
    )
    for warning in warnings:
        logging.getLogger("server").warning(warning)
    from server import process

    return process.show_version() if options.version else process.run(options)


if __name__ == "__main__":
    sys.exit(main())
