"""One HTTP/1.1 connection: keep-alive, pipelining, timeouts, and how it ends."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from server.protocol import sockets
from server.protocol.http1.backlog import Backlog
from server.protocol.http1.messages import Request, Response
from server.protocol.http1.reading import RequestReader
from server.protocol.http1.refusals import Refusal
from server.protocol.limits import LINGER_BYTES, LINGER_S, Share

if TYPE_CHECKING:
    from server.protocol.http1.server import HttpServer

_MAX_UNREAD = 16 * 1024  # bytes of answers that a peer may leave before we answer no more
_MAX_QUEUED = 8 * 1024  # bytes of heads that wait for the answer to an earlier request
_CONTINUE = Response(b"", 100)

_Item = tuple[Request | None, Response | None, bool, int]  # asked, answer, keep alive, cost


class Http1Connection(asyncio.Protocol):
    """Parses requests as they arrive and answers them one after the other.

    A request that breaks the protocol or a limit is answered once all before it are, and ends
    the connection.

    Attributes:
        deadline: The loop's time at which `expire` is due.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._share = Share(server.usage)
        self._reader = RequestReader(self, server.usage.limits, self._share)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._local = False
        self._queue: deque[_Item] = deque()
        self._queued = 0
        self._backlog = Backlog(server)
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_refused = False  # nothing more is read
        self._is_ending = False  # all is written
        self._lingers = 0  # bytes that may yet be thrown away
        self._is_at_end = False  # the peer sends no more
        self._steps = 0  # of the reader when it was last waited for
        self._received = 0  # bytes of a body when it was last looked at
        self._unread = 0  # bytes of answers when they were last looked at
        self._since = self.deadline = 0.0

    @property
    def waits_since(self) -> float | None:
        """The loop's time since when it has had no request that was let in; None: it has one."""
        return self._since if self._task is None and not self._reader.has_head else None

    def shed(self) -> None:
        """Ends at once and without an answer."""
        if self._transport is not None:
            self._transport.abort()

    # The transport's side.

    def connection_made(self, transport: Any) -> None:
        """Registers the connection, or ends it where there are too many."""
        self._transport = transport
        self._since = self._server.now()
        if not self._server.usage.enter(self):
            transport.abort()
            return
        peer = transport.get_extra_info("peername")
        self._local = sockets.is_local(peer)
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and len(peer) > 1 else ""
        transport.set_write_buffer_limits(_MAX_UNREAD)
        self._server.connections.add(self)
        self.deadline = self._since + self._server.usage.limits.headers_s

    def connection_lost(self, error: Exception | None) -> None:
        """Cancels what was under way: nobody waits for it."""
        server = self._server
        server.connections.discard(self)
        server.usage.leave(self)
        self._backlog.clear()
        self._transport = None
        self._share.close()
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Reads requests, unless enough of them wait."""
        if self._is_refused:
            self._discard(len(data))
        elif self._backlog:
            self._keep(data)
        else:
            self._read(data)

    def eof_received(self) -> bool:
        """Keeps the connection for answers that are under way: only the client's half is closed."""
        self._is_at_end = True
        return self._task is not None

    def pause_writing(self) -> None:
        """Stops answering until the client reads."""
        self._writable.clear()
        self._watch_reading()
        self._server.usage.keep_unread(self, self._unread)

    def resume_writing(self) -> None:
        """Goes on answering."""
        self._writable.set()
        self._server.usage.forget_unread(self)

    # The reader's side.

    def admit(self, request: Request) -> Response | None:
        """Asks the handler."""
        request.peer, request.is_local = self._peer, self._local
        return self._server.handler.admit(request)

    def expects(self) -> None:
        """Tells a client that waits to go on, in its turn."""
        self._enqueue((None, _CONTINUE, True, 0))

    def completes(
        self, request: Request, refusal: Response | None, keep_alive: bool, cost: int
    ) -> None:
        """Queues a request to be answered."""
        self._enqueue((request, refusal, keep_alive, cost))

    # Deadlines, by the server's clock.

    def expire(self, now: float) -> None:
        """Ends a connection whose deadline has passed; one that is being answered stays."""
        transport, limits = self._transport, self._server.usage.limits
        if transport is None:
            return
        if self._is_ending or not self._writable.is_set():
            left = transport.get_write_buffer_size()
            if 0 < left <= self._unread - limits.progress_bytes:
                self._watch_reading()
            else:
                transport.abort()
        elif self._task is not None:
            return
        elif not self._reader.is_midway:
            self._end(is_idle=True)
        elif self._reader.body_bytes >= self._received + limits.progress_bytes:
            self._received = self._reader.body_bytes
            self.deadline = now + limits.body_s
        else:
            self._refuse(Refusal(408, "Request did not arrive in time"))

    def hurry(self, now: float, patience_s: float) -> None:
        """Ends an idle connection, and gives the peer of another no more than a time to get on."""
        if self._task is None and not self._reader.is_midway:
            self._end(is_idle=True)
        elif self._task is None or not self._writable.is_set():
            self.deadline = min(self.deadline, now + patience_s)

    def _watch_reading(self) -> None:
        """Sets the deadline until which the peer must have read some of its answer."""
        if self._transport is not None:
            self._unread = self._transport.get_write_buffer_size()
            self.deadline = self._server.now() + self._server.usage.limits.write_s

    # Reading.

    def _read(self, data: bytes) -> None:
        """Feeds the reader, and keeps what follows once enough requests wait."""
        reader, position, size = self._reader, 0, len(data)
        try:
            if not self._queue and reader.feed_short(data):
                position = size
            while position < size and not self._is_refused:
                if self._queued > _MAX_QUEUED:
                    self._keep(memoryview(data)[position:])
                    return
                position = reader.feed_some(data, position)
        except Refusal as refusal:
            self._refuse(refusal)
        if reader.is_midway and self._task is None and reader.steps != self._steps:
            self._wait()

    def _keep(self, data: bytes | memoryview) -> None:
        """Keeps what can't be read yet, and takes no more from the peer."""
        if (transport := self._transport) is None:
            return
        if self._backlog.add(data):
            transport.pause_reading()
        else:
            transport.abort()  # it sends on, but neither waits for its answers nor reads them

    def _read_kept(self) -> None:
        """Reads what was kept, until enough requests wait again."""
        backlog, reader = self._backlog, self._reader
        try:
            while backlog and not self._is_refused and self._queued <= _MAX_QUEUED:
                reader.feed(backlog.take(reader.stride(backlog.data, 0)))
        except Refusal as refusal:
            self._refuse(refusal)
        if self._is_refused:
            backlog.clear()
        if not backlog and self._transport is not None:
            self._transport.resume_reading()

    def _discard(self, size: int) -> None:
        if self._is_ending and self._transport is not None:
            self._lingers -= size
            if self._lingers < 0:
                self._transport.abort()

    # Answering.

    def _refuse(self, refusal: Refusal) -> None:
        if self._is_refused:
            return
        self._is_refused = True
        if not refusal.is_noted:
            request = self._reader.request or Request("", "")
            request.peer, request.is_local = self._peer, self._local
            self._server.handler.refused(request, refusal.response)
        self._enqueue((None, refusal.response, False, 0))

    def _enqueue(self, item: _Item) -> None:
        self._queue.append(item)
        self._queued += item[3]
        if self._task is None:
            self._task = self._server.loop.create_task(self._answer())

    async def _answer(self) -> None:
        server = self._server
        while self._queue and (transport := self._transport) is not None:
            request, response, keep_alive, cost = self._queue.popleft()
            if response is _CONTINUE:
                transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                continue
            if response is None:
                assert request is not None
                response = await server.respond(request)
                self._share.give(len(request.body))
                if self._transport is None:
                    return
            has_body = request is None or request.method != "HEAD"
            keep_alive = keep_alive and not (server.is_closing and not self._queue)
            transport.write(response.encode(server.date, keep_alive=keep_alive, has_body=has_body))
            if not keep_alive:
                self._task = None
                self._end()
                return
            if not self._writable.is_set():
                await self._writable.wait()
            self._queued -= cost
            if self._backlog:
                self._read_kept()
            if self._queue:
                await server.turns.wait()
        self._task = None
        if self._is_at_end:
            self._end()
        else:
            self._wait()

    def _wait(self) -> None:
        """Waits for the next request, or for the rest of one that has begun."""
        limits, reader = self._server.usage.limits, self._reader
        now = self._server.now()
        if reader.is_midway:
            self._steps, self._received = reader.steps, reader.body_bytes
            self.deadline = now + (limits.body_s if reader.has_head else limits.headers_s)
        else:
            self._since = now
            self.deadline = now + limits.idle_s

    def _end(self, *, is_idle: bool = False) -> None:
        """Closes once all is sent, which a peer that doesn't read can't put off for long.

        Args:
            is_idle: Nothing was asked since the last answer has left.
        """
        if (transport := self._transport) is None or self._is_ending:
            return
        self._is_refused = self._is_ending = True
        self._watch_reading()
        can_write_eof = transport.can_write_eof()  # not with TLS
        if self._is_at_end or is_idle or not (can_write_eof or self._reader.is_midway):
            transport.close()
            return
        self._lingers = LINGER_BYTES
        if not self._unread:
            self.deadline = self._server.now() + LINGER_S
        if can_write_eof:
            transport.write_eof()
