"""Many calls at once, their results in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from client.errors import ServingError

Result = TypeVar("Result")

# What a call raises for its own request: a refusal, or inputs that can't be sent.
COLLECTED = (ServingError, ValueError)
# So many requests ahead of the oldest unanswered one, as a multiple of those in flight: a slow
# answer holds the others up only then.
_AHEAD = 4


def in_order(
    call: Callable[[Any], Result], requests: Iterable[Any], in_flight: int, *, collect: bool
) -> Iterator[Result | Exception]:
    """Calls a function for each request on `in_flight` threads; yields results in their order.

    Requests are taken from the iterable as they are needed.

    Args:
        call: Makes one call.
        requests: What it is called with.
        in_flight: Calls at once, at most.
        collect: Whether an error is yielded in its result's place; else the first one, in the order
            of requests, is raised, no further request is sent, and those under way are waited for.
    """
    _check(in_flight)
    waiting: deque[Future[Result]] = deque()
    pending = iter(requests)
    failed = False

    def guarded(request: Any) -> Result:
        nonlocal failed
        if failed and not collect:  # the requests before the failed one have all started
            raise CancelledError
        try:
            return call(request)
        except BaseException:
            failed = True
            raise

    pool = ThreadPoolExecutor(in_flight, "client.predict_many")
    try:
        while True:
            while (collect or not failed) and _wants_more(waiting, in_flight):
                try:
                    waiting.append(pool.submit(guarded, next(pending)))
                except StopIteration:
                    break
            if not waiting:
                return
            try:
                result: Result | Exception = waiting.popleft().result()
            except COLLECTED as error:
                if not collect:
                    raise
                result = error
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


async def in_order_async(
    call: Callable[[Any], Awaitable[Result]],
    requests: Iterable[Any] | AsyncIterator[Any],
    in_flight: int,
    *,
    collect: bool,
) -> AsyncIterator[Result | Exception]:
    """The same on an event loop; where the first error is raised, those under way are cancelled."""
    _check(in_flight)
    waiting: deque[asyncio.Task[Result]] = deque()
    turns = asyncio.Semaphore(in_flight)
    pending = _each(requests)
    failed = False

    async def guarded(request: Any) -> Result:
        nonlocal failed
        try:
            async with turns:
                if failed and not collect:
                    raise asyncio.CancelledError
                return await call(request)
        except BaseException:
            failed = True
            raise

    try:
        while True:
            while (collect or not failed) and _wants_more(waiting, in_flight):
                try:
                    request = await anext(pending)
                except StopAsyncIteration:
                    break
                waiting.append(asyncio.create_task(guarded(request)))
                await asyncio.sleep(0)  # so that it starts before the next request is made
            if not waiting:
                return
            try:
                result: Result | Exception = await waiting.popleft()
            except COLLECTED as error:
                if not collect:
                    raise
                result = error
            yield result
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _each(requests: Iterable[Any] | AsyncIterator[Any]) -> AsyncIterator[Any]:
    if isinstance(requests, AsyncIterator):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request


def _wants_more(waiting: deque[Any], in_flight: int) -> bool:
    """Whether the next result is still to come, and there is room for another request."""
    return not (waiting and waiting[0].done()) and len(waiting) < _AHEAD * in_flight


def _check(in_flight: int) -> None:
    if in_flight < 1:
        raise ValueError(f"in_flight is {in_flight}; it is at least 1")
