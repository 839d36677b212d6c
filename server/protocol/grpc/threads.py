"""The number of gRPC calls that run at a time, as `--grpc_max_threads` bounds it.

gRPC's synchronous server gives each call a thread, and keeps one that waits for the next call. A
call that leaves none to wait is refused. There are no such threads here; the count is the same.
Source: gRPC's src/cpp/thread_manager/thread_manager.cc (MainWorkLoop) and
src/cpp/server/server_cc.cc; TensorFlow Serving's model_servers/server.cc sets the quota.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

from server.errors import Code, ServingError
from server.protocol.grpc.method import Context, Methods

_REFUSE_WITHIN_S = 0.1


class Threads:
    """Counts the calls that run on one process.

    Args:
        most: Threads, of which one waits; 0: any number.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0

    def bound(self, methods: Methods) -> Methods:
        """Returns the methods, of which no more run at a time than there are threads for."""
        if self._most == 0:
            return methods
        return {
            path: replace(
                method,
                unary=method.unary and self._unary(method.unary),
                stream=method.stream and self._stream(method.stream),
            )
            for path, method in methods.items()
        }

    @property
    def _are_taken(self) -> bool:
        return self._running + 1 >= self._most

    @contextlib.contextmanager
    def _one(self) -> Iterator[None]:
        if self._are_taken:
            raise _exhausted()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def _unary(
        self, method: Callable[[Any, Context], Awaitable[Any]]
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        async def unary(request: Any, context: Context) -> Any:
            with self._one():
                return await method(request, context)

        return unary

    def _stream(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def stream(requests: AsyncIterator[Any], context: Context) -> None:
            if self._are_taken:
                # Some clients stumble over an answer that overtakes their request.
                with contextlib.suppress(TimeoutError, StopAsyncIteration):
                    await asyncio.wait_for(anext(requests), _REFUSE_WITHIN_S)
                raise _exhausted()
            with self._one():
                responses = method(requests, context)
                if not hasattr(responses, "__aiter__"):
                    await responses
                    return
                async for response in responses:
                    await context.write(response)

        return stream


def _exhausted() -> ServingError:
    return ServingError(Code.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
