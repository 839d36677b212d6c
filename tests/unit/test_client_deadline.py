"""A call's time-out is the whole call's, whatever the server does meanwhile."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from client import AsyncClient, Client, Retry, ServingError, Unavailable
from client.timed_sockets import resolve

TIMEOUT = 0.5
HANGS = 20  # seconds: far beyond the time-out, even on a busy machine
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@contextmanager
def server(answer):
    """A port whose connections are each handed to a function on a thread of its own."""
    over = threading.Event()

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[connection], daemon=True).start()

    def serve(connection):
        with connection:
            with suppress(OSError):
                answer(connection, over)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)


def silent(connection, over):
    over.wait(2 * HANGS)


def drop_by_drop(content):
    """Answers a byte each tenth of a second, as no time-out of a socket would notice."""

    def answer(connection, over):
        connection.recv(1 << 16)
        for at in range(10 * 2 * HANGS):
            connection.sendall(content[at : at + 1] or b" ")
            if over.wait(0.1):
                return

    return answer


def head_then_drops(connection, over):
    connection.recv(1 << 16)
    connection.sendall(HEAD)
    drop_by_drop(b"[")(connection, over)


def always_busy(connection, over):
    while connection.recv(1 << 16):
        content = b'{"error": "busy"}'
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 17\r\n\r\n" + content)


def slow_metadata(connection, over):
    """Each answer takes four fifths of the time that a call has."""
    content = b'{"error": "no metadata"}'
    while connection.recv(1 << 16):
        if over.wait(TIMEOUT * 0.8):
            return
        connection.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: 24\r\n\r\n" + content)


def ask(port, is_async, **options):
    """Makes a call that takes two exchanges; returns its seconds."""
    chosen = {"timeout": TIMEOUT, "retry": Retry(tries=1000, first_wait=0.01)} | options
    inputs = {"x": np.zeros(chosen.pop("size", 1), np.float32)}

    async def call():
        async with AsyncClient("127.0.0.1", port, **chosen) as client:
            await client.predict("m", inputs)

    started = time.monotonic()
    try:
        if is_async:
            asyncio.run(call())
        else:
            with Client("127.0.0.1", port, **chosen) as client:
                client.predict("m", inputs)
    finally:
        assert time.monotonic() - started < HANGS


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "answer", [silent, drop_by_drop(HEAD), head_then_drops, slow_metadata], ids=lambda f: f.__name__
)
def test_a_slow_server_is_given_up(answer, is_async):
    with server(answer) as port:
        with pytest.raises(ServingError, match=r"DEADLINE_EXCEEDED: no answer from .* 0\.5 s"):
            ask(port, is_async)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_a_silent_peer_of_any_kind(api, is_async):
    """No HTTP/2, no TLS: what a wrong port may be."""
    with server(silent) as port:
        for tls in (False, True):
            with pytest.raises(ServingError) as caught:
                ask(port, is_async, api=api, tls=tls)
            assert caught.value.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")


def test_a_server_that_reads_nothing():
    def metadata_only(connection, over):
        connection.recv(1 << 16)
        connection.sendall(b'HTTP/1.1 400 Bad\r\nContent-Length: 14\r\n\r\n{"error": "a"}')
        silent(connection, over)

    with server(metadata_only) as port:
        with pytest.raises(ServingError, match="DEADLINE_EXCEEDED"):
            ask(port, False, size=10_000_000, timeout=5.0)


@pytest.mark.parametrize("is_async", [False, True])
def test_tries_have_the_time_together(is_async):
    with server(always_busy) as port:
        with pytest.raises(Unavailable, match="busy"):
            ask(port, is_async)


def test_an_event_loop_goes_on_while_calls_wait():
    async def call(port):
        async with AsyncClient("127.0.0.1", port, timeout=1.0) as client:
            calls = [asyncio.create_task(client.status("m")) for _ in range(200)]
            turns = 0
            while not all(call.done() for call in calls):
                await asyncio.sleep(0.01)
                turns += 1
            codes = {call.exception().code for call in calls}
        return turns, codes

    with server(silent) as port:
        turns, codes = asyncio.run(call(port))
    assert turns > 10
    assert codes == {"DEADLINE_EXCEEDED"}


def test_a_cancelled_call_ends_at_once():
    async def call(port):
        async with AsyncClient("127.0.0.1", port, timeout=1.0) as client:
            started = time.monotonic()
            waiting = asyncio.create_task(client.status("m", timeout=2.0))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            return time.monotonic() - started

    with server(silent) as port:
        assert asyncio.run(call(port)) < 2.0


def test_a_name_that_takes_for_ever(monkeypatch):
    over = threading.Event()

    def getaddrinfo(*_, **__):
        over.wait(2 * HANGS)
        raise OSError("at last")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(TimeoutError):
        resolve("somewhere.invalid", 80, 0.05)
    started = time.monotonic()
    with Client("somewhere.invalid", 80, timeout=TIMEOUT) as client:
        client._carrier._session.trust_env = False  # no proxy is asked in its place
        with pytest.raises(ServingError):
            client.status("m")
    assert time.monotonic() - started < HANGS
    over.set()


def test_each_address_of_a_name_has_its_share_of_the_time(monkeypatch):
    """The first one never answers: a listening socket whose queue is full."""
    with server(always_busy) as port, socket.socket() as full:
        full.bind(("127.0.0.2", port))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
        addresses = [(0, 0, 0, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", patched(socket.getaddrinfo, addresses))
        with Client("two.invalid", port, timeout=6.0, retry=Retry(tries=1)) as client:
            client._carrier._session.trust_env = False
            with pytest.raises(Unavailable, match="busy"):
                client.status("m")
        for filler in fillers:
            filler.close()


def patched(original, addresses):
    def getaddrinfo(host, *args, **named):
        return addresses if host == "two.invalid" else original(host, *args, **named)

    return getaddrinfo
