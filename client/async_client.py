"""The client for an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from client import many, steps
from client.api import Api
from client.calls import Calls
from client.deadline import Deadline
from client.endpoint import Endpoint, endpoint
from client.model_spec import ModelSpec
from client.results import Classification, Prediction, Regression, VersionStatus
from client.retry import Retry
from client.signature import DEFAULT, ServedSignature

Result = TypeVar("Result")


class AsyncClient:
    """`Client` for an event loop: the same arguments, and each call is awaited.

    gRPC goes through grpc.aio. REST goes through the same library as `Client`'s, on 64 threads of
    its own: so many requests are under way at most, the others wait for their turn. A call that is
    cancelled ends at once; over REST its thread goes on until the call's deadline.

    Example:
        async with AsyncClient("localhost", 8500, "grpc") as client:
            prediction = await client.predict("mnist_flax", images)

    Args:
        server: As for `Client`, and so are all others.
        port: TCP port, where `server` holds none.
        api: As for `Client`.
        timeout: Seconds that a call may take.
        retry: How to try again.
        tls: Encrypt with the system's authorities.
        ca_file: Encrypt; PEM file of the authorities to trust.
        cert_file: PEM file of the client's certificate.
        key_file: PEM file of its key.
        token: Bearer token to send.
        headers: Headers, or gRPC's metadata, to send with each call.

    Raises:
        ValueError: an impossible combination of these.
        OSError: a certificate file can't be read.
    """

    def __init__(
        self,
        server: str = "localhost",
        port: int | None = None,
        api: Api = "rest",
        *,
        timeout: float = 10.0,
        retry: Retry | None = None,
        tls: bool = False,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        self.endpoint = endpoint(
            server,
            port,
            api,
            tls=tls,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            token=token,
            headers=headers,
        )
        self.timeout = Deadline(timeout).timeout
        self._calls = Calls(self.endpoint.kind.make_codec(str(self.endpoint)), retry or Retry())
        self._carrier = _carrier(self.endpoint)

    async def predict(
        self,
        model: str,
        inputs: Any,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT,
        timeout: float | None = None,
    ) -> Prediction:
        """Runs a model; see `Client.predict`."""
        spec, deadline = ModelSpec(model, version, label), self._deadline(timeout)
        return await self._run(self._calls.predict(spec, inputs, signature, deadline))

    @overload
    def predict_many(
        self,
        model: str,
        requests: Iterable[Any] | AsyncIterator[Any],
        *,
        in_flight: int = 8,
        collect_errors: Literal[False] = False,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT,
        timeout: float | None = None,
    ) -> AsyncIterator[Prediction]: ...

    @overload
    def predict_many(
        self,
        model: str,
        requests: Iterable[Any] | AsyncIterator[Any],
        *,
        in_flight: int = 8,
        collect_errors: Literal[True],
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT,
        timeout: float | None = None,
    ) -> AsyncIterator[Prediction | Exception]: ...

    def predict_many(
        self,
        model: str,
        requests: Iterable[Any] | AsyncIterator[Any],
        *,
        in_flight: int = 8,
        collect_errors: bool = False,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT,
        timeout: float | None = None,
    ) -> AsyncIterator[Any]:
        """Runs a model for each of many requests; see `Client.predict_many`.

        Where an error is raised, the requests that are under way are cancelled. `requests` may be
        an asynchronous iterator.

        Example:
            async for prediction in client.predict_many("mnist_flax", batches, in_flight=32):
                print(prediction.output.argmax(axis=1))
        """

        async def call(inputs: Any) -> Prediction:
            return await self.predict(
                model, inputs, version=version, label=label, signature=signature, timeout=timeout
            )

        return many.in_order_async(call, requests, in_flight, collect=collect_errors)

    async def classify(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout: float | None = None,
    ) -> Classification:
        """Classifies examples; see `Client.classify`."""
        spec, deadline = ModelSpec(model, version, label), self._deadline(timeout)
        return await self._run(self._calls.classify(spec, examples, context, signature, deadline))

    async def regress(
        self,
        model: str,
        examples: Sequence[Mapping[str, Any]],
        *,
        context: Mapping[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout: float | None = None,
    ) -> Regression:
        """Regresses examples; see `Client.regress`."""
        spec, deadline = ModelSpec(model, version, label), self._deadline(timeout)
        return await self._run(self._calls.regress(spec, examples, context, signature, deadline))

    async def status(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> list[VersionStatus]:
        """Returns the states of a model's versions; see `Client.status`."""
        spec = ModelSpec(model, version, label)
        return await self._run(self._calls.status(spec, self._deadline(timeout)))

    async def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> dict[str, ServedSignature]:
        """Returns a model's signatures by name; see `Client.metadata`."""
        spec = ModelSpec(model, version, label)
        return await self._run(self._calls.metadata(spec, self._deadline(timeout)))

    async def served_version(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Returns the newest version that answers requests; see `Client.served_version`."""
        spec = ModelSpec(model, version, label)
        return await self._run(self._calls.served_version(spec, self._deadline(timeout)))

    async def wait_until_ready(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
    ) -> int:
        """Waits until a model answers; see `Client.wait_until_ready`."""
        spec, deadline = ModelSpec(model, version, label), Deadline(timeout)
        return await self._run(self._calls.wait_until_ready(spec, deadline, self.timeout))

    async def close(self) -> None:
        """Closes the connection."""
        await self._carrier.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self.timeout if timeout is None else timeout)

    async def _run(self, call: steps.Steps[Result]) -> Result:
        return await steps.run_async(call, self._carrier)


def _carrier(endpoint: Endpoint) -> steps.AsyncCarrier:
    if endpoint.kind.carrier == "grpc":
        from client.grpc_carrier import AsyncGrpcCarrier

        return AsyncGrpcCarrier(endpoint)
    from client.http_carrier import AsyncHttpCarrier

    return AsyncHttpCarrier(endpoint)
