"""How many files and connections a process may have open."""

from __future__ import annotations

_OTHERS = 64  # the interpreter's own files, and the loop's


def allow(connections: int) -> None:
    """Raises the process's soft limit as far as so many connections need it.

    Raises:
        ValueError: the hard limit, which only root may raise, is lower.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    needed = connections + _OTHERS
    wanted = 2 * connections + _OTHERS  # a connection that drains beside each new one
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ValueError(
            f"{connections} connections need {needed} open files, and the limit is {hard}: "
            f"raise it (as root: ulimit -Hn {needed}), or ask for fewer connections"
        )
    resource.setrlimit(
        resource.RLIMIT_NOFILE,
        (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard),
    )
