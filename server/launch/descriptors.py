"""How many files and sockets the process may have open."""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger("server")

_RESERVED = 256  # for models, logs, listening sockets, and connections about to be turned away


def connections(wanted: int) -> int:
    """Raises the process's soft limit to its hard one, and returns the connections it allows.

    Args:
        wanted: Connections that should be possible.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError) as error:  # macOS: the hard limit may be more than it takes
            logger.warning("open files stay limited to %d: %s", soft, error)
    if soft == resource.RLIM_INFINITY:
        return wanted
    possible = max(soft - _RESERVED, soft // 2)
    if possible < wanted:
        logger.warning(
            "the limit of open files (ulimit -n) is %d: %d connections are the most, not %d",
            soft, possible, wanted,
        )  # fmt: skip
    return min(wanted, possible)
