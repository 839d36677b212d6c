"""A call as its method sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from server.errors import Code, ServingError
from server.protocol.grpc import metadata
from server.protocol.grpc.metadata import Metadata
from server.protocol.http2.connection import Http2Connection
from server.protocol.http2.head import Head
from server.protocol.http2.stream import Stream

if TYPE_CHECKING:
    import grpc


@dataclass(slots=True)
class _Rare:
    """What most calls have none of."""

    code: Any = None
    details: str = ""
    callbacks: list[Callable[[Any], None]] = field(default_factory=list)


class CallContext:
    """The `method.Context` of a call on our own HTTP/2; `Call` adds what it does by itself.

    Attributes:
        deadline: The loop's time at which the call ends; None: never.
        has_ended: A status is sent, or nobody waits for one.
        is_cancelled: The client, or its connection, went away first.
    """

    __slots__ = (
        "_connection", "_has_head", "_head", "_rare", "_stream", "_trailing", "deadline",
        "has_ended", "is_cancelled",
    )  # fmt: skip

    # `Call` sets them: calls are made by the hundred thousand, and a constructor more is felt.
    _connection: Http2Connection
    _stream: Stream
    _head: Head
    _rare: _Rare | None
    _trailing: Metadata
    _has_head: bool
    deadline: float | None
    has_ended: bool
    is_cancelled: bool

    def peer(self) -> str:
        """Returns the client's address as gRPC writes it."""
        return self._connection.peer

    def peer_identities(self) -> None:
        """Returns None: certificates of clients are checked, but not looked into."""

    def peer_identity_key(self) -> None:
        """Returns None, as `peer_identities`."""

    def auth_context(self) -> Mapping[str, Any]:
        """Returns nothing, as `peer_identities`."""
        return {}

    def time_remaining(self) -> float | None:
        """Returns the seconds until the deadline; None without one."""
        if self.deadline is None:
            return None
        return max(self.deadline - asyncio.get_running_loop().time(), 0.0)

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the call's metadata, names in lower case."""
        raise NotImplementedError

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Sends metadata ahead of the first response.

        Raises:
            ValueError: it can't be sent as a header.
            RuntimeError: a response or such metadata were sent before.
        """
        if self._has_head:
            raise RuntimeError("initial metadata was sent before")
        self._send_head(metadata.write(initial_metadata))

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Sets the metadata that goes out with the status."""
        self._trailing = trailing_metadata

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the metadata that goes out with the status."""
        return tuple(self._trailing)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Sets the status' code, for a method that ends without an error."""
        self._rarely().code = code

    def set_details(self, details: str) -> None:
        """Sets the status' text."""
        self._rarely().details = details

    def code(self) -> grpc.StatusCode | None:
        """Returns the code that was set, or None."""
        return self._rare.code if self._rare is not None else None

    def details(self) -> str:
        """Returns the text that was set."""
        return self._rare.details if self._rare is not None else ""

    def cancelled(self) -> bool:
        """Tells whether the client, or its connection, went away before the call was done."""
        return self.is_cancelled

    def done(self) -> bool:
        """Tells whether the call has ended, in whatever way."""
        return self.has_ended

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Has a function called with this context when the call has ended."""
        self._rarely().callbacks.append(callback)

    async def write(self, message: Any) -> None:
        """Sends a response of a streaming method."""
        raise TypeError("a unary method returns its response")

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        """Ends the call.

        Raises:
            ServingError: always.
        """
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)
        raise ServingError(Code(code.value[0]), details)

    def _rarely(self) -> _Rare:
        if self._rare is None:
            self._rare = _Rare()
        return self._rare

    def _send_head(self, block: bytes = b"") -> None:
        raise NotImplementedError
