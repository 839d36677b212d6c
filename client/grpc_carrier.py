"""Carries gRPC exchanges out: over one channel, which may lead to several servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from client import errors
from client.codec import Read, RpcExchange
from client.deadline import Deadline
from client.endpoint import Endpoint

if TYPE_CHECKING:
    from wire.services import Method

# Source: https://github.com/grpc/grpc/blob/master/doc/service_config.md
_ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})


def channel_options(endpoint: Endpoint) -> list[tuple[str, Any]]:
    """Returns the channel's options: no 4 MB limit, and a quick return after an outage.

    The servers behind a target get calls in turn; without it a channel keeps to one of them.
    """
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.enable_http_proxy", 0 if endpoint.is_loopback else 1),
    ]
    if endpoint.target is not None:
        options.append(("grpc.service_config", _ROUND_ROBIN))
    return options


class GrpcCarrier:
    """One try of an exchange at a time, by a channel that several threads share."""

    def __init__(self, endpoint: Endpoint):
        """Opens no connection yet.

        Raises:
            OSError: a certificate or key file can't be read.
        """
        self._server = str(endpoint)
        self._channel = _channel(grpc, endpoint, _credentials(endpoint))
        self._metadata = _metadata(endpoint)
        self._stubs: dict[str, Any] = {}

    def send(self, exchange: RpcExchange[Read], deadline: Deadline) -> Read:
        """Sends a call and reads its answer.

        Raises:
            ServingError: a refusal; Unavailable where nobody answers.
        """
        stub = _stub(self._stubs, exchange.method, self._channel)
        try:
            response = stub(
                exchange.request, timeout=deadline.left(self._server), metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise _error(error, self._server, deadline) from None
        return exchange.read(response)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()


class AsyncGrpcCarrier:
    """The same on an event loop; the channel belongs to the loop of its first call."""

    def __init__(self, endpoint: Endpoint):
        """Opens nothing yet.

        Raises:
            OSError: a certificate or key file can't be read.
        """
        self._endpoint = endpoint
        self._server = str(endpoint)
        self._credentials = _credentials(endpoint)
        self._metadata = _metadata(endpoint)
        self._channel: grpc.aio.Channel | None = None
        self._stubs: dict[str, Any] = {}

    async def send(self, exchange: RpcExchange[Read], deadline: Deadline) -> Read:
        """Sends a call and reads its answer; raises as `GrpcCarrier.send`."""
        if self._channel is None:
            self._channel = _channel(grpc.aio, self._endpoint, self._credentials)
        stub = _stub(self._stubs, exchange.method, self._channel)
        try:
            response = await stub(
                exchange.request, timeout=deadline.left(self._server), metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise _error(error, self._server, deadline) from None
        return exchange.read(response)

    async def compute(self, function: Callable[[], Any]) -> Any:
        """Calls a function right here: messages hold arrays as they are."""
        return function()

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close(None)


def _channel(kind: Any, endpoint: Endpoint, credentials: grpc.ChannelCredentials | None) -> Any:
    """Returns a channel of `grpc` or of `grpc.aio`."""
    options = channel_options(endpoint)
    if credentials is None:
        return kind.insecure_channel(endpoint.address, options)
    return kind.secure_channel(endpoint.address, credentials, options)


def _credentials(endpoint: Endpoint) -> grpc.ChannelCredentials | None:
    if not endpoint.secure:
        return None
    files = (endpoint.ca_file, endpoint.key_file, endpoint.cert_file)
    return grpc.ssl_channel_credentials(*map(_read_file, files))


def _metadata(endpoint: Endpoint) -> Sequence[tuple[str, str]] | None:
    return tuple((name.lower(), value) for name, value in endpoint.all_headers) or None


def _stub(stubs: dict[str, Any], method: Method, channel: Any) -> Any:
    found = stubs.get(method.path)
    if found is None:
        found = stubs[method.path] = method.stub(channel)
    return found


def _error(error: Any, server: str, deadline: Deadline) -> errors.ServingError:
    name, details = error.code().name, error.details() or ""
    if name == "DEADLINE_EXCEEDED":
        return deadline.exceeded(server, details)
    if name == "UNAVAILABLE":
        return errors.Unavailable(f"{server}: {details}")
    return errors.ServingError(name, details)


def _read_file(file: str | None) -> bytes | None:
    if file is None:
        return None
    with open(file, "rb") as stream:
        return stream.read()
