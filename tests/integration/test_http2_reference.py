"""Random frames at our HTTP/2 and at the h2 library's: both accept, or both refuse, alike.

Each sequence is judged frame by frame: accepted, a stream error, or a connection error, and with
which code. Where the two differ, EXPLAINED says why ours is right; the sequence ends there.
"""

import asyncio
import collections
import fnmatch
import itertools
import random
import re
import struct

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest

from server.protocol.http2 import frames
from server.protocol.http2.connection import Http2Connection
from server.protocol.http2.frames import PREFACE, ErrorCode, frame
from server.protocol.http2.hpack import encode
from server.protocol.http2.options import Http2Options
from server.protocol.limits import Usage
from tests.support.http2 import HEAD, START, Sink, feed

NAMES = {
    frames.DATA: "DATA", frames.HEADERS: "HEADERS", frames.PRIORITY: "PRIORITY",
    frames.RST_STREAM: "RST_STREAM", frames.SETTINGS: "SETTINGS",
    frames.PUSH_PROMISE: "PUSH_PROMISE", frames.PING: "PING", frames.GOAWAY: "GOAWAY",
    frames.WINDOW_UPDATE: "WINDOW_UPDATE", frames.CONTINUATION: "CONTINUATION",
}  # fmt: skip
POST = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "me")]
BLOCKS = [
    encode(POST),
    encode(POST),
    encode(POST),
    encode([*POST, ("te", "trailers"), ("content-type", "application/grpc")]),
    encode([*POST, ("content-length", "3")]),
    encode([("trailer", "x")]),
    encode(POST[:3]),
    encode(POST[1:]),
    encode([*POST, (":path", "/y")]),
    encode([*POST, ("Capital", "x")]),
    encode([*POST, ("connection", "close")]),
    encode([*POST, ("te", "gzip")]),
    encode([("a", "b"), *POST]),
    encode([*POST, ("content-length", "x")]),
    encode([*POST, ("x", " y")]),
    b"\x80",
    b"",
]


SETTINGS = ((1, 0), (2, 0), (3, 9), (4, 100), (5, 20000), (6, 99), (99, 1), (4, 2**31), (2, 2))


def some_frame(choice):
    """Returns the kind and the bytes of a frame that is right more often than not."""
    kind = choice.choices(
        (*NAMES, 77), (20, 30, 3, 8, 4, 1, 4, 1, 8, 4, 2)
    )[0]  # fmt: skip
    number = choice.choice((1, 1, 3, 3, 5, 7, 9, 0, 2))
    flags, payload = 0, b""
    if kind == frames.HEADERS:
        flags = choice.choice((4, 5, 5, 5, 0, 1))
        payload = choice.choice(BLOCKS)
        if choice.random() < 0.1:
            flags |= frames.HAS_PRIORITY
            payload = struct.pack(">IB", choice.choice((0, 3, number)), 7) + payload
        if choice.random() < 0.1:
            flags |= frames.PADDED
            payload = bytes([3]) + payload + bytes(choice.choice((3, 3, 1)))
    elif kind == frames.DATA:
        flags, payload = choice.choice((0, 1, 1)), choice.choice((b"", b"abc", b"x" * 50))
        if choice.random() < 0.1:
            flags |= frames.PADDED
            payload = bytes([3]) + payload + bytes(choice.choice((3, 3, 1)))
    elif kind == frames.CONTINUATION:
        flags, payload = choice.choice((0, 4)), choice.choice(BLOCKS)
    elif kind == frames.PRIORITY:
        payload = struct.pack(">IB", choice.choice((0, 1, 3)), 9)[: choice.choice((5, 5, 5, 4))]
    elif kind == frames.RST_STREAM:
        payload = bytes(choice.choice((4, 4, 4, 3)))
    elif kind == frames.SETTINGS:
        number, flags = choice.choice((0, 0, 0, number)), choice.choice((0, 0, 1))
        values = (
            (1, 0),
            (2, 0),
            (3, 9),
            (4, 100),
            (5, 20000),
            (6, 99),
            (99, 1),
            (4, 2**31),
            (2, 2),
        )
        payload = b"" if flags else struct.pack(">HI", *choice.choice(values))
        payload += choice.choice((b"", b"", b"", b"x"))
    elif kind == frames.PUSH_PROMISE:
        flags, payload = 4, struct.pack(">I", 2) + BLOCKS[0]
    elif kind == frames.PING:
        number, flags = choice.choice((0, 0, number)), choice.choice((0, 1))
        payload = bytes(choice.choice((8, 8, 7)))
    elif kind == frames.GOAWAY:
        number, payload = choice.choice((0, 0, number)), bytes(8)
    elif kind == frames.WINDOW_UPDATE:
        payload = struct.pack(">I", choice.choice((1, 1000, 0, 2**31 - 1)))[
            : choice.choice((4, 4, 3))
        ]
    return kind, frame(kind, flags, number, payload)


class Script:
    """A client that plays by the rules most of the time."""

    def __init__(self, choice):
        self.choice, self.last, self.open = choice, -1, []

    def next(self):
        choice = self.choice
        if choice.random() < 0.06:
            return some_frame(choice)
        kind = choice.choices(
            (frames.HEADERS, frames.DATA, frames.WINDOW_UPDATE, frames.RST_STREAM, frames.PING,
             frames.SETTINGS, frames.PRIORITY),
            (10, 8, 3, 1, 1, 1, 1),
        )[0]  # fmt: skip
        if kind == frames.PING:
            return kind, frame(kind, 0, 0, bytes(8))
        if kind == frames.SETTINGS:
            return kind, frames.settings(dict([choice.choice(SETTINGS[:7])]))
        if kind == frames.PRIORITY:
            return kind, frame(kind, 0, choice.choice((1, 3, 99)), bytes(5))
        if kind == frames.HEADERS or not self.open:
            self.last += choice.choice((2, 2, 2, 4))
            flags = choice.choice((4, 4, 5))
            if flags == 4:
                self.open.append(self.last)
            block = BLOCKS[
                choice.choice((0, 0, 0, 0, 0, 0, 3, 3, 4, choice.randrange(len(BLOCKS))))
            ]
            return frames.HEADERS, frame(frames.HEADERS, flags, self.last, block)
        number = choice.choice(self.open)
        if kind == frames.WINDOW_UPDATE:
            return kind, frames.window_update(choice.choice((0, number)), choice.randint(1, 9999))
        if kind == frames.RST_STREAM:
            self.open.remove(number)
            return kind, frames.reset(number, ErrorCode.CANCEL)
        flags = choice.choice((0, 0, 1))
        if flags:
            self.open.remove(number)
            if choice.random() < 0.3:
                return frames.HEADERS, frame(frames.HEADERS, 5, number, BLOCKS[5])
        return kind, frame(kind, flags, number, choice.choice((b"abc", b"", b"x" * 50)))


class Holding:
    """Answers with headers alone, or not at all."""

    def __init__(self, connection, answers):
        self.connection, self.answers = connection, answers

    def request(self, stream, head):
        return HoldingCall(self, stream)


class HoldingCall:
    def __init__(self, owner, stream):
        self.owner, self.stream = owner, stream

    def data(self, chunk):
        pass

    def end(self):
        if self.owner.answers:
            self.owner.connection.sender.trailers(self.stream, HEAD)

    def reset(self):
        pass

    def drain(self):
        pass


def verdict(written):
    """Returns what an endpoint's frames say of what it was sent."""
    found = "accepted"
    while written:
        size = int.from_bytes(written[:3], "big")
        kind, payload = written[3], written[9 : 9 + size]
        written = written[9 + size :]
        if kind == frames.GOAWAY:
            return f"connection: {ErrorCode(int.from_bytes(payload[4:8], 'big')).name}"
        if kind == frames.RST_STREAM and (code := ErrorCode(int.from_bytes(payload, "big"))):
            found = f"stream: {code.name}"
    return found


class Ours:
    def __init__(self, answers):
        self.sink, usage = Sink(), Usage()
        self.connection = Http2Connection(
            lambda connection: Holding(connection, answers),
            Http2Options(frame_bytes=16_384),
            usage.limits,
            usage,
            lambda _: None,
            lambda _: None,
        )
        self.connection.connection_made(self.sink)

    def feed(self, data):
        self.connection.data_received(data)
        self.connection.sender.flush()
        written, self.sink.written = self.sink.written, b""
        return verdict(written)


class Theirs:
    def __init__(self, answers):
        self.answers = answers
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.why = ""

    def feed(self, data):
        try:
            for event in self.connection.receive_data(data):
                if isinstance(event, h2.events.StreamEnded) and self.answers:
                    self.connection.send_headers(
                        event.stream_id, [(":status", "200")], end_stream=True
                    )
        except h2.exceptions.ProtocolError as error:
            self.why = re.sub(r"\d+", "N", str(error)).partition(":")[0]
        return verdict(self.connection.data_to_send())


# Frame, ours, h2's, h2's words (as patterns): why ours is right. Sections are RFC 9113's.
EXPLAINED = {
    ("*", "stream: PROTOCOL_ERROR", "connection: PROTOCOL_ERROR", "[!I]*"): (
        "8.1.1: malformed requests are stream errors; h2 ends the connection"
    ),
    ("*", "stream: PROTOCOL_ERROR", "connection: PROTOCOL_ERROR", "Invalid [cv]*"): (
        "the same, for content-length and te"
    ),
    ("DATA", "stream: PROTOCOL_ERROR", "connection: PROTOCOL_ERROR", "InvalidBodyLength*"): (
        "the same, for DATA that isn't as long as content-length says"
    ),
    ("*", "stream: PROTOCOL_ERROR", "accepted", ""): (
        "8.1.1: a content-length, and HEADERS that end the request; h2 counts in DATA alone"
    ),
    ("*", "accepted", "connection: PROTOCOL_ERROR", "Request header block does not have an *"): (
        "8.3.1 asks for :authority only where there is one: gRPC over unix sockets may lack it"
    ),
    ("*", "*", "connection: PROTOCOL_ERROR", "*in state ConnectionState.CLOSED"): (
        "6.8: a client that sent GOAWAY takes no pushes; its requests go on"
    ),
    ("*", "connection: COMPRESSION_ERROR", "connection: PROTOCOL_ERROR", "Error decoding*"): "4.3",
    ("*", "connection: STREAM_CLOSED", "connection: PROTOCOL_ERROR", "StreamIDTooLow*"): (
        "5.1: frames after END_STREAM are STREAM_CLOSED"
    ),
    ("*", "stream: STREAM_CLOSED", "connection: PROTOCOL_ERROR", "StreamIDTooLow*"): (
        "5.1: frames after RST_STREAM are a stream error"
    ),
    ("DATA", "connection: STREAM_CLOSED", "stream: STREAM_CLOSED", ""): (
        "5.1 allows either for DATA after both ends"
    ),
    ("HEADERS", "connection: PROTOCOL_ERROR", "accepted", ""): (
        "5.1.1: an even number; h2 looks when the header block is complete"
    ),
    ("RST_STREAM", "connection: PROTOCOL_ERROR", "accepted", ""): "6.4: the stream is idle",
    ("RST_STREAM", "connection: FRAME_SIZE_ERROR", "connection: PROTOCOL_ERROR", "*header"): (
        "two faults: a wrong length, and no stream"
    ),
    ("SETTINGS", "connection: FRAME_SIZE_ERROR", "connection: PROTOCOL_ERROR", "*data"): (
        "6.5: an acknowledgement with a payload is a FRAME_SIZE_ERROR"
    ),
    ("*", "connection: PROTOCOL_ERROR", "connection: FRAME_SIZE_ERROR", "Frame data missing*"): (
        "two faults: headers are interrupted, by a frame of a wrong length"
    ),
    ("HEADERS", "connection: FRAME_SIZE_ERROR", "*", "*"): (
        "6.2: a priority that is cut off; h2 takes what is there for the block, or for padding"
    ),
    ("CONTINUATION", "connection: PROTOCOL_ERROR", "*: STREAM_CLOSED", "*"): (
        "6.10: CONTINUATION without HEADERS, on a stream that is over besides"
    ),
    ("WINDOW_UPDATE", "accepted", "connection: PROTOCOL_ERROR", "*non-compliant data"): (
        "6.9: an increment of 0 is a stream error, and this stream is over"
    ),
    ("HEADERS", "stream: STREAM_CLOSED", "connection: STREAM_CLOSED", "*"): (
        "5.1: frames after RST_STREAM are a stream error"
    ),
    ("*", "*", "connection: PROTOCOL_ERROR", "*invalid padding*"): (
        "6.1, 6.2: padding may be all that there is"
    ),
}


def explanation(difference):
    """Returns the key in EXPLAINED of a difference."""
    for key in EXPLAINED:
        if all(map(fnmatch.fnmatchcase, difference, key)):
            return key
    return None


def play(seed, sequences):
    """Runs random sequences on both; returns how often each verdict and each difference came."""
    verdicts, differences = collections.Counter(), collections.Counter()

    async def main():
        choice = random.Random(seed)
        for number in range(sequences):
            answers = choice.random() < 0.5
            ours, theirs = Ours(answers), Theirs(answers)
            start = PREFACE + frame(frames.SETTINGS, 0, 0)
            assert ours.feed(start) == theirs.feed(start) == "accepted"
            history, script = [], Script(choice)
            for _ in range(30):
                kind, data = script.next()
                history.append(data.hex())
                found, expected = ours.feed(data), theirs.feed(data)
                verdicts[found] += 1
                if found != expected:
                    key = NAMES.get(kind, "unknown"), found, expected, theirs.why
                    why = explanation(key)
                    assert why, f"seed {seed}, {number}: {key}: {history}"
                    differences[why] += 1
                if found != "accepted" or expected != "accepted":
                    break
            ours.connection.connection_lost(None)

    asyncio.run(main())
    return verdicts, differences


def test_random_frames_are_judged_as_h2_judges_them():
    verdicts, _ = play(1, 1000)
    assert verdicts["accepted"] > 4000
    assert len(verdicts) > 7, verdicts  # many kinds of errors were among them


def cuts(seed, sequences):
    choice = random.Random(seed)
    for number in range(sequences):
        script = Script(choice)
        sent = START + b"".join(script.next()[1] for _ in range(30))
        edges = sorted(choice.randrange(len(sent)) for _ in range(choice.randint(1, 40)))
        pieces = [sent[a:b] for a, b in itertools.pairwise([0, *edges, len(sent)]) if a < b]
        assert feed(pieces) == feed([sent]), f"seed {seed}, {number}: {sent.hex()} at {edges}"


def test_random_frames_may_come_in_any_pieces():
    cuts(1, 150)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_many_random_frames_may_come_in_any_pieces():
    for seed in range(2, 102):
        cuts(seed, 200)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_many_random_frames_are_judged_as_h2_judges_them():
    seen = set()
    for seed in range(2, 102):
        seen |= set(play(seed, 2000)[1])
    assert len(seen) >= len(EXPLAINED) - 2, "explanations of what doesn't differ"
