"""What the workers need from an API: send prepared bytes, tell the status."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Protocol

from client.endpoint import Endpoint

BROKEN = "UNAVAILABLE"
EXPIRED = "DEADLINE_EXCEEDED"


@dataclass(frozen=True)
class Answer:
    """gRPC's status name, and the message's or body's bytes where they are kept."""

    code: str
    body: bytes = b""


class Caller(Protocol):
    """A connection to a server that carries prepared requests."""

    async def call(self, request: bytes) -> Answer:
        """Sends one request; every trouble is a code in the answer, not an exception."""

    def expire(self, before: float) -> None:
        """Gives up requests that were sent before a moment of `time.perf_counter`."""

    def close(self) -> None:
        """Closes the connection."""


def tls(endpoint: Endpoint, protocol: str) -> ssl.SSLContext | None:
    """Returns the TLS settings of a secure endpoint, None for others.

    Args:
        endpoint: Where the connection goes.
        protocol: Name for the negotiation (ALPN), `h2` or `http/1.1`.

    Raises:
        OSError: a certificate file can't be read.
    """
    if not endpoint.secure:
        return None
    context = ssl.create_default_context(cafile=endpoint.ca_file)
    if endpoint.cert_file:
        context.load_cert_chain(endpoint.cert_file, endpoint.key_file)
    context.set_alpn_protocols([protocol])
    return context
