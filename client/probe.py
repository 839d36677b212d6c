"""Which API listens at an address."""

from __future__ import annotations

import socket

from client.api import Api
from client.client import Client
from client.endpoint import Endpoint, is_target
from client.errors import Unavailable
from client.retry import Retry

_QUESTION = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def connect(
    address: str, *, timeout: float = 10.0, retry: Retry | None = None, token: str | None = None
) -> Client:
    """Finds out whether a port speaks REST or gRPC, and returns a client of it.

    The port is asked unencrypted; with TLS, say which API it is: `Client(…, api, tls=True)`. A URL
    is REST's and a target gRPC's: they are taken at their word.

    Args:
        address: `HOST:PORT`, an IPv6 address in brackets; or a URL, or gRPC's target, as for
            `Client`.
        timeout: Seconds that the question, and later each call, may take.
        retry: As for `Client`; the question itself isn't repeated.
        token: Bearer token to send with the calls.

    Raises:
        ValueError: it is no address.
        Unavailable: the port is closed, the host unknown, or nothing answers there.
    """
    if is_target(address):
        return Client(address, api="grpc", timeout=timeout, retry=retry, token=token)
    if "://" in address:
        return Client(address, api="rest", timeout=timeout, retry=retry, token=token)
    host, port = split(address)
    api = api_at(host, port, timeout)
    return Client(host, port, api, timeout=timeout, retry=retry, token=token)


def split(address: str) -> tuple[str, int]:
    """Splits `HOST:PORT`; an IPv6 address loses its brackets.

    Raises:
        ValueError: it is no address.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(
            f"{address!r} is no address; write it as HOST:PORT, such as localhost:8501"
        )
    return host.strip("[]"), int(port)


def api_at(host: str, port: int, timeout: float) -> Api:
    """Returns the API of an unencrypted port: REST where it answers HTTP/1, gRPC elsewhere.

    Raises:
        Unavailable: the port is closed, the host unknown, or silent for `timeout` seconds.
    """
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(_QUESTION)
            first = connection.recv(16)
    except (BrokenPipeError, ConnectionResetError):
        first = b""  # what an HTTP/2 server may make of HTTP/1.1
    except OSError as error:
        address = Endpoint(host, port, "rest").address
        raise Unavailable(f"{address}: {error.strerror or error}") from None
    return "rest" if first.startswith(b"HTTP/1") else "grpc"
