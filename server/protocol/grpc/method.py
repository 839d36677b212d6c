"""What serves a path of gRPC, whatever carries it: our own HTTP/2, or grpc.aio's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from server.protocol.grpc.metadata import Metadata


class Context(Protocol):
    """What a method may ask about its call: what `grpc.aio.ServicerContext` has, and a bit more.

    Values of metadata are bytes where the name ends in `-bin`, and text elsewhere.

    Attributes:
        deadline: The loop's time at which the call ends; None: never.
    """

    deadline: float | None

    def peer(self) -> str:
        """Returns the client's address as gRPC writes it."""

    def time_remaining(self) -> float | None:
        """Returns the seconds until the deadline; None without one."""

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the call's metadata, names in lower case."""

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Sends metadata ahead of the first response; only once, and before any response."""

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Sets the metadata that goes out with the status."""

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the metadata that goes out with the status."""

    def set_code(self, code: Any) -> None:
        """Sets the status' `grpc.StatusCode`, for a method that ends without an error."""

    def set_details(self, details: str) -> None:
        """Sets the status' text."""

    def code(self) -> Any:
        """Returns the `grpc.StatusCode` that was set, or None."""

    def details(self) -> str:
        """Returns the text that was set."""

    def cancelled(self) -> bool:
        """Tells whether nobody waits for an answer any more."""

    def done(self) -> bool:
        """Tells whether the call has ended, in whatever way."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Has a function called with this context when the call has ended."""

    async def write(self, message: Any) -> None:
        """Sends a response of a streaming method."""

    async def abort(
        self, code: Any, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        """Ends the call with a `grpc.StatusCode`, by an exception."""


@dataclass(frozen=True)
class Method:
    """What serves a path.

    Its functions fail with a `ServingError`, which is the call's status, on each transport; any
    other exception is INTERNAL, logged, and not told to the client.

    Attributes:
        parse: Bytes to request, in one go.
        view: The same for long ones in no time, where they have a form that allows it; else None.
            None: no such form is known.
        parse_long: The same for all others, on a thread, of which the event loop notices little.
            None: `parse` does it all.
        serialize: Response to bytes.
        unary: `await unary(request, context)` is the response; None for a streaming method.
        stream: For any number of requests and responses: `async for response in
            stream(requests, context)`, or `await stream(requests, context)` with responses by
            `context.write`.
    """

    parse: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes]
    unary: Callable[[Any, Context], Awaitable[Any]] | None = None
    stream: Callable[[AsyncIterator[Any], Context], Any] | None = None
    view: Callable[[bytes], Any] | None = None
    parse_long: Callable[[bytes], Any] | None = None


# Methods by their paths, as `/package.Service/Method`.
Methods = Mapping[str, Method]


def of_one_request(function: Callable[[Any, Context], Any]) -> Callable[..., Awaitable[None]]:
    """Returns the `stream` of a method that takes one request and answers with `context.write`."""

    async def stream(requests: AsyncIterator[Any], context: Context) -> None:
        async for request in requests:
            await function(request, context)
            return

    return stream
