"""An HTTP/2 server by the reference implementation, which answers gRPC calls and goes away."""

import asyncio
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
_UNNOTICED = 0.02  # seconds in which calls go on arriving behind the last one that is taken
_TRAILERS = [("grpc-status", "0")]


@dataclass
class Behaviour:
    """What a server does, and what it has seen.

    Attributes:
        delay: Seconds before an answer.
        most_streams: At once, on a connection; what the settings say.
        calls_a_connection: After so many calls the connection is sent away, a moment later; calls
            that arrive behind them are left untouched (`ignored`).
        refuse_every: Each so-manieth call is refused untouched.
        answered: Calls that were answered.
        most_seen: Streams that were open at once on one connection.
        faults: What the client did that HTTP/2 forbids.
    """

    delay: float = 0.005
    most_streams: int | None = None
    calls_a_connection: int | None = None
    refuse_every: int | None = None
    answered: int = 0
    refused: int = 0
    ignored: int = 0
    connections: int = 0
    most_seen: int = 0
    calls: int = 0
    faults: list = field(default_factory=list)


class _Connection(asyncio.Protocol):
    def __init__(self, behaviour):
        self.behaviour = behaviour
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.last = None
        self.taken = set()
        self.count = 0

    def connection_made(self, transport):
        self.transport = transport
        self.behaviour.connections += 1
        if self.behaviour.most_streams is not None:
            code = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
            limit = {code: self.behaviour.most_streams}
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=limit)
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data):
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.behaviour.faults.append(repr(error))
            self.transport.close()
            return
        for event in events:
            if isinstance(event, h2.events.StreamEnded):
                self.take(event.stream_id)
            elif isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()

    def take(self, stream):
        seen = self.behaviour
        if self.last is not None and stream > self.last:
            seen.ignored += 1
            return
        seen.calls += 1
        self.count += 1
        if seen.refuse_every and seen.calls % seen.refuse_every == 0:
            seen.refused += 1
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        self.taken.add(stream)
        seen.most_seen = max(seen.most_seen, len(self.taken))
        if seen.calls_a_connection == self.count:
            self.last = stream
            asyncio.get_running_loop().call_later(_UNNOTICED, self.send_away)
        asyncio.get_running_loop().call_later(seen.delay, self.answer, stream)

    def send_away(self):
        """h2 itself sends nothing behind its GOAWAY, though RFC 9113 allows it: so by hand."""
        self.flush()
        self.transport.write(struct.pack(">BHBBLLL", 0, 8, 7, 0, 0, self.last, 0))

    def answer(self, stream):
        self.taken.discard(stream)
        try:
            self.h2.send_headers(stream, _HEADERS)
            self.h2.send_data(stream, b"\0\0\0\0\0")
            self.h2.send_headers(stream, _TRAILERS, end_stream=True)
        except h2.exceptions.ProtocolError as error:
            self.behaviour.faults.append(repr(error))
            return
        self.behaviour.answered += 1
        self.flush()

    def flush(self):
        self.transport.write(self.h2.data_to_send())


@contextmanager
def serve(behaviour):
    """Runs a server on a thread until the block ends; gives its port."""
    started = threading.Event()
    found = {}

    async def run():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(behaviour), "127.0.0.1", 0)
        found.update(port=server.sockets[0].getsockname()[1], loop=loop, over=asyncio.Event())
        started.set()
        await found["over"].wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield found["port"]
    finally:
        found["loop"].call_soon_threadsafe(found["over"].set)
        thread.join(30)
