"""An HTTP/2 client that does what it is told, right or wrong."""

import socket
import struct

import h2.config
import h2.connection
import h2.events
import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, CONTINUATION, DATA = 4, 1, 9, 0
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(
        ">I", stream
    ) + payload  # fmt: skip


class H2Peer:
    """A connection by the library h2, whose own checks are off."""

    def __init__(self, port, *, timeout_s=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
            )
        )
        self.connection.initiate_connection()
        self.flush()
        self.answers = {}
        self.is_over = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        self.socket.sendall(self.connection.data_to_send())

    def call(self, path, body=b"", metadata=(), *, trailers=(), method="POST"):
        """Begins a call of gRPC; returns its stream's number. Only metadata enter HPACK's table."""
        number = self.connection.get_next_available_stream_id()
        fixed = [
            (":method", method), (":scheme", "http"), (":path", path), (":authority", "me"),
            ("te", "trailers"), ("content-type", "application/grpc"),
        ]  # fmt: skip
        fixed = [hpack.NeverIndexedHeaderTuple(*pair) for pair in fixed]
        self.connection.send_headers(number, [*fixed, *metadata])
        message = b"\0" + struct.pack(">I", len(body)) + body
        self.connection.send_data(number, message, end_stream=not trailers)
        if trailers:
            self.connection.send_headers(number, trailers, end_stream=True)
        self.flush()
        return number

    def answer(self, number):
        """Returns all headers and trailers of an answer; None if it never comes."""
        while number not in self.answers and not self.is_over:
            self.receive()
        return self.answers.get(number)

    def receive(self):
        data = self.socket.recv(2**20)
        self.is_over = not data
        partial = self.__dict__.setdefault("_partial", {})
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                partial.setdefault(event.stream_id, {}).update(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                size = event.flow_controlled_length
                if size:
                    self.connection.acknowledge_received_data(size, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.answers[event.stream_id] = {
                    _text(name): _text(value)
                    for name, value in partial.pop(event.stream_id, {}).items()
                }
            elif isinstance(event, h2.events.StreamReset):
                self.answers[event.stream_id] = {"reset": str(int(event.error_code))}
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.is_over = True
        self.flush()


def _text(value):
    return value.decode() if isinstance(value, bytes) else value
