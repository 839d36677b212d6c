"""Which API listens at an address."""

from __future__ import annotations

import socket

from exporter.errors import UserError
from exporter.inspect.remote.grpc import Grpc
from exporter.inspect.remote.rest import Rest
from exporter.inspect.remote.server import Server, Unreachable

_PROBE = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def connect(address: str, *, timeout: float = 10.0) -> Server:
    """Finds out whether a port speaks REST or gRPC, and returns the server behind it.

    Args:
        address: `HOST:PORT`.
        timeout: Seconds that each call may take.

    Raises:
        UserError: it is no address.
        Unreachable: the port is closed, the host unknown, or nothing answers there.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"{address!r} is no address; write it as HOST:PORT, such as localhost:8501")
    host = host.strip("[]")
    try:
        with socket.create_connection((host, int(port)), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(_PROBE)
            first = connection.recv(16)
    except ConnectionResetError:
        first = b""  # what an HTTP/2 server may make of HTTP/1.1
    except OSError as error:
        raise Unreachable(str(error)) from None
    return (Rest if first.startswith(b"HTTP/1") else Grpc)(host, int(port), timeout)
