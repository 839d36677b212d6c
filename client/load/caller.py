"""What the workers need from an API: send prepared bytes, tell the status."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from client.endpoint import Endpoint

if TYPE_CHECKING:
    from client.load.http1 import Http1
    from client.load.http2_link import Link

BROKEN = "UNAVAILABLE"
EXPIRED = "DEADLINE_EXCEEDED"


@dataclass(frozen=True)
class Answer:
    """gRPC's status name, and the message's or body's bytes where they are kept."""

    code: str
    body: bytes = b""


# What a connection says of a call that its server never touched: it may go by another one,
REFUSED = Answer("REFUSED")
# or by the same one, a little later.
BUSY = Answer("BUSY")


class Caller(Protocol):
    """Carries prepared requests to a server, and opens a connection again when it was closed."""

    @property
    def sent_away(self) -> int:
        """Connections that the server asked to be replaced."""

    @property
    def queued(self) -> int:
        """Calls that waited until the server allowed another stream."""

    async def call(self, request: bytes) -> Answer:
        """Sends one request; every trouble is a code in the answer, not an exception."""

    def expire(self, before: float) -> None:
        """Gives up requests that were sent before a moment of `time.perf_counter`."""

    def close(self) -> None:
        """Closes the connection."""


async def open_connection(
    protocol: Http1 | Link, endpoint: Endpoint, context: ssl.SSLContext | None, timeout: float
) -> Answer | None:
    """Connects a protocol, and waits until it is ready.

    Returns:
        None, or the answer to the calls that have waited for it: nobody is there, or nobody has
        answered within `timeout` seconds.
    """
    loop = asyncio.get_running_loop()
    failure = Answer(BROKEN)
    try:
        async with asyncio.timeout(timeout):
            await loop.create_connection(
                lambda: protocol, endpoint.host, endpoint.port, ssl=context
            )
            if await protocol.ready:
                return None
    except TimeoutError as error:
        protocol.close()
        if error.errno is None:  # ETIMEDOUT is the system's, and may come early
            failure = Answer(EXPIRED)
    except OSError:
        protocol.close()
    await asyncio.sleep(0.05)  # no busy loop while nobody listens
    return failure


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
