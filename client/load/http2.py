"""gRPC calls over HTTP/2 connections that are replaced when the server sends them away.

A gRPC library costs a Python caller several times what this does for a request; on a machine
that also runs the server, that would be measured as the server's.
"""

from __future__ import annotations

import asyncio
import struct
from time import perf_counter

from client.endpoint import Endpoint
from client.load import hpack
from client.load.caller import BUSY, EXPIRED, REFUSED, Answer, open_connection, tls
from client.load.http2_link import Link

_PAUSE, _LONGEST_PAUSE = 0.001, 0.05  # seconds before a refused call is sent again


def message(body: bytes) -> bytes:
    """Returns a gRPC message: not compressed, its length, its bytes."""
    return struct.pack(">BL", 0, len(body)) + body


def headers(endpoint: Endpoint, path: str) -> bytes:
    """Returns the header block of a call."""
    fields = [
        (":method", "POST"),
        (":scheme", "https" if endpoint.secure else "http"),
        (":path", path),
        (":authority", endpoint.authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "client.load"),
    ]
    fields += [(name.lower(), value) for name, value in endpoint.all_headers]
    return hpack.encode(fields)


class Http2:
    """Carries any number of calls at once, by one connection at a time.

    A connection that the server sends away (GOAWAY, RFC 9113, 6.8) finishes the calls that the
    server has taken; the others go by the next connection. A call that the server refused untouched
    (REFUSED_STREAM, RFC 9113, 8.7) is sent again after a moment: servers are known to count a
    stream a little longer than its client can. Neither is a failure, and both take the time that
    they take.
    """

    def __init__(self, endpoint: Endpoint, path: str, *, keep_bodies: bool, timeout: float):
        self._endpoint = endpoint
        self._tls = tls(endpoint, "h2")
        self._header_block = headers(endpoint, path)
        self._keep_bodies = keep_bodies
        self._timeout = timeout
        self._opening: asyncio.Task[Link | Answer] | None = None
        self._link: Link | None = None
        self._leaving: list[Link] = []
        self.sent_away = 0
        self._queued_before = 0

    async def call(self, request: bytes) -> Answer:
        """Sends a gRPC message."""
        sent = perf_counter()
        pause = 0.0  # for the first connection that was sent away; another one is waiting
        while True:
            link = self._link
            if link is None or not link.takes_calls:
                opened = await self._open()
                if isinstance(opened, Answer):
                    return opened
                link = opened
            answer = await link.call(request, sent)
            if answer is not REFUSED and answer is not BUSY:
                return answer
            if answer is BUSY:
                pause = max(pause, _PAUSE)
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, _PAUSE), _LONGEST_PAUSE)
            if perf_counter() - sent > self._timeout:
                return Answer(EXPIRED)

    @property
    def queued(self) -> int:
        """Calls that waited for a stream."""
        return self._queued_before + (self._link.queued if self._link is not None else 0)

    def expire(self, before: float) -> None:
        """Cancels the calls in flight that were sent before a moment."""
        for link in self._links():
            link.expire(before)

    def close(self) -> None:
        """Closes the connections."""
        for link in self._links():
            link.close()

    def _links(self) -> list[Link]:
        self._leaving = [link for link in self._leaving if link.is_open]
        return [*self._leaving, *([self._link] if self._link is not None else [])]

    async def _open(self) -> Link | Answer:
        """Returns a connection that takes calls, or why there is none: one for all who ask."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._connect())
        return await self._opening

    async def _connect(self) -> Link | Answer:
        before, self._link = self._link, None
        if before is not None:
            self._queued_before += before.queued
        if before is not None and before.was_sent_away:
            self.sent_away += 1
            self._leaving.append(before)
        link = Link(self._header_block, keep_bodies=self._keep_bodies)
        failure = await open_connection(link, self._endpoint, self._tls, self._timeout)
        if failure is not None:
            return failure
        self._link = link
        return link
