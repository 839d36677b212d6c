"""An event loop whose waits end within microseconds, with any number of connections."""

from __future__ import annotations

import asyncio
import select
import selectors

_FD_SETSIZE = 1024  # select() knows no descriptor from here on


def make() -> asyncio.AbstractEventLoop:
    """Returns the loop.

    epoll and libuv round each wait up to the next millisecond, and the open loop, which waits for
    every request's turn, would report that as the server's latency. select() doesn't, but it takes
    no more than 1,024 descriptors; so it waits for one, epoll's own. Elsewhere than on Linux the
    system's best is precise (kqueue) or takes few connections anyway (Windows).
    """
    if hasattr(selectors, "EpollSelector"):
        return asyncio.SelectorEventLoop(_PreciseEpoll())
    return asyncio.SelectorEventLoop(selectors.DefaultSelector())


if hasattr(selectors, "EpollSelector"):

    class _PreciseEpoll(selectors.EpollSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if (timeout is None or timeout > 0) and self.fileno() < _FD_SETSIZE:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)
