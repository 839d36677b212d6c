"""Streams end when the server does."""

import asyncio

import pytest

from server.api import streams
from server.errors import Code, ServingError
from server.protocol.grpc.method import Method


class Context:
    def __init__(self):
        self.written = []

    async def write(self, message):
        self.written.append(message)


async def never():
    await asyncio.Event().wait()
    yield


async def given(*requests):
    for request in requests:
        yield request


async def echo(requests, context):
    async for request in requests:
        yield request


async def watch(requests, context):
    await context.write("serving")
    await asyncio.Event().wait()


def run(stream, requests, *, drain, word=None):
    """Runs a stream to its end and returns what it wrote."""

    async def test():
        drained, context = asyncio.Event(), Context()
        methods = streams.ending({"/s": Method(bytes, bytes, stream=stream)}, drained)
        call = asyncio.ensure_future(methods["/s"].stream(requests, context))
        await asyncio.sleep(0.01)
        if drain:
            assert not call.done()
            drained.set()
        await asyncio.wait_for(call, 10)
        return context.written

    return asyncio.run(test())


def test_an_idle_stream_ends_and_has_said_what_it_had_to():
    assert run(watch, given("x"), drain=True) == ["serving"]
    assert run(echo, never(), drain=True) == []


def test_a_stream_that_ends_by_itself_is_answered_as_ever():
    assert run(echo, given(1, 2, 3), drain=False) == [1, 2, 3]


def test_a_watch_tells_that_the_server_ends():
    async def test():
        drained, context = asyncio.Event(), Context()

        async def watch(requests, context):
            await context.write("serving")
            await drained.wait()
            await context.write("not serving")
            await asyncio.Event().wait()

        method = streams.ending({"/s": Method(bytes, bytes, stream=watch)}, drained)["/s"]
        call = asyncio.ensure_future(method.stream(never(), context))
        await asyncio.sleep(0.01)
        drained.set()
        await asyncio.wait_for(call, 10)
        assert context.written == ["serving", "not serving"]

    asyncio.run(test())


def test_errors_and_cancellation_are_the_calls():
    async def fails(requests, context):
        raise ServingError(Code.NOT_FOUND, "no such service")

    with pytest.raises(ServingError, match="no such service"):
        run(fails, never(), drain=False)

    async def test():
        ended = asyncio.Event()

        async def stream(requests, context):
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        method = streams.ending({"/s": Method(bytes, bytes, stream=stream)}, asyncio.Event())["/s"]
        call = asyncio.ensure_future(method.stream(never(), Context()))
        await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert call.cancelled()
        assert ended.is_set()

    asyncio.run(test())


def test_unary_methods_stay_as_they_are():
    async def unary(request, context):
        return request

    method = Method(bytes, bytes, unary)
    assert streams.ending({"/u": method}, asyncio.Event())["/u"] is method
