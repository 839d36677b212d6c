"""Streams end with the server: a client that only listens has no end of its own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from server.protocol.grpc.method import Context, Method, Methods

_LAST_WORD_S = 0.2  # within which a health watch tells that the server ends


def ending(methods: Methods, drained: asyncio.Event) -> dict[str, Method]:
    """Returns methods of which those with streams end when the server is drained.

    Health watches and reflection are answered until then; what comes later gets no answer, and
    the stream's status is OK.
    """
    return {
        path: method if method.stream is None else _ending(method, drained)
        for path, method in methods.items()
    }


def _ending(method: Method, drained: asyncio.Event) -> Method:
    async def stream(requests: AsyncIterator[Any], context: Context) -> None:
        work = asyncio.ensure_future(_work(method, requests, context))
        end = asyncio.ensure_future(drained.wait())
        try:
            await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await asyncio.wait([work], timeout=_LAST_WORD_S)
            if work.done():
                work.result()
        finally:
            end.cancel()
            if not work.done():
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work

    return replace(method, stream=stream)


async def _work(method: Method, requests: AsyncIterator[Any], context: Context) -> None:
    assert method.stream is not None
    found = method.stream(requests, context)
    if inspect.isawaitable(found):
        await found
    else:
        async for response in found:
            await context.write(response)
