"""The client: predictions from a model server, by REST or gRPC, in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


class Client:
    """A connection to a model server; usable from several threads.

    Works with TensorFlow Serving, with servers of the Open Inference Protocol, and with this
    project's. Calls that find the server
    unavailable are tried again until their deadline; no other error is.

    Example:
        with Client("localhost", 8501) as client:
            print(client.predict("mnist_flax", images).outputs)

    Args:
        server: Name or address of the host. For REST also a URL, `https://host[:port][/prefix]`;
            for gRPC also a target as gRPC names them, such as `dns:///host:port`, whose servers get
            calls in turn.
        port: TCP port, where `server` holds none; TensorFlow Serving's, 8501 or 8500, by default.
        api: `"rest"` or `"grpc"`: TensorFlow Serving's; `"v2"` or `"v2-grpc"`: the Open Inference
            Protocol by REST or gRPC, which Triton, KServe, MLServer and OpenVINO speak;
            `"v2-json"`: the same by REST for servers that take no binary data, as MLServer.
        timeout: Seconds that a call may take: its repeated tries, the look at the signature and the
            connection included.
        retry: How to try again; `Retry(tries=1)` doesn't.
        tls: Encrypt with the system's authorities.
        ca_file: Encrypt; PEM file of the authorities to trust.
        cert_file: PEM file of the client's certificate, for servers that ask for one.
        key_file: PEM file of its key.
        token: Bearer token to send.
        headers: Headers to send with each call, by name; over gRPC they are its metadata.

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

    def predict(
        self,
        model: str,
        inputs: Any,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT,
        timeout: float | None = None,
    ) -> Prediction:
        """Runs a model.

        Args:
            model: Name in the server.
            inputs: An array for a signature with one input, or arrays by input name; leading axis
                the batch. Lists and other float widths are cast to the signature's dtype.
            version: Number; the latest by default.
            label: Version label, in place of a number.
            signature: Name of the signature.
            timeout: Seconds for all of it, in place of the client's.

        Raises:
            ServingError: the server's refusal, with its code.
            Unavailable: nobody answers, or the server is too busy.
            ValueError: inputs that can't be sent.
        """
        spec = ModelSpec(model, version, label)
        return self._run(self._calls.predict(spec, inputs, signature, self._deadline(timeout)))

    @overload
    def predict_many(
        self,
        model: str,
        requests: Iterable[Any],
        *,
        in_flight: int = 8,
        collect_errors: Literal[False] = False,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT,
        timeout: float | None = None,
    ) -> Iterator[Prediction]: ...

    @overload
    def predict_many(
        self,
        model: str,
        requests: Iterable[Any],
        *,
        in_flight: int = 8,
        collect_errors: Literal[True],
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT,
        timeout: float | None = None,
    ) -> Iterator[Prediction | Exception]: ...

    def predict_many(
        self,
        model: str,
        requests: Iterable[Any],
        *,
        in_flight: int = 8,
        collect_errors: bool = False,
        version: int | None = None,
        label: str | None = None,
        signature: str = DEFAULT,
        timeout: float | None = None,
    ) -> Iterator[Any]:
        """Runs a model for each of many requests, several at once; yields answers in their order.

        Requests are taken from the iterable as answers are taken from the result, up to four times
        `in_flight` ahead. A result that isn't used to its end should be closed.

        Example:
            for prediction in client.predict_many("mnist_flax", batches, in_flight=32):
                print(prediction.output.argmax(axis=1))

        Args:
            model: Name in the server.
            requests: The inputs of each, as for `predict`.
            in_flight: Requests under way at once, at most; each has a thread.
            collect_errors: Whether a request's error (a ServingError or ValueError) is yielded in
                its answer's place. Else the first one is raised, and nothing more is sent.
            version: Number; the latest by default.
            label: Version label, in place of a number.
            signature: Name of the signature.
            timeout: Seconds for each request, in place of the client's.

        Raises:
            ServingError: the first refusal. ValueError: inputs that can't be sent.
        """

        def call(inputs: Any) -> Prediction:
            return self.predict(
                model, inputs, version=version, label=label, signature=signature, timeout=timeout
            )

        return many.in_order(call, requests, in_flight, collect=collect_errors)

    def classify(
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
        """Classifies examples, each a dictionary of features; raises as `predict` does."""
        spec, deadline = ModelSpec(model, version, label), self._deadline(timeout)
        return self._run(self._calls.classify(spec, examples, context, signature, deadline))

    def regress(
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
        """Regresses examples, each a dictionary of features; raises as `predict` does."""
        spec, deadline = ModelSpec(model, version, label), self._deadline(timeout)
        return self._run(self._calls.regress(spec, examples, context, signature, deadline))

    def status(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> list[VersionStatus]:
        """Returns the states of a model's versions, newest first; raises as `predict` does."""
        spec = ModelSpec(model, version, label)
        return self._run(self._calls.status(spec, self._deadline(timeout)))

    def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> dict[str, ServedSignature]:
        """Returns a model's signatures by name; raises as `predict` does."""
        spec = ModelSpec(model, version, label)
        return self._run(self._calls.metadata(spec, self._deadline(timeout)))

    def served_version(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> int:
        """Returns the newest version that answers requests, of those asked for.

        Raises:
            Unavailable: none does yet; says what state they are in. Else as `predict`.
        """
        spec = ModelSpec(model, version, label)
        return self._run(self._calls.served_version(spec, self._deadline(timeout)))

    def wait_until_ready(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
    ) -> int:
        """Waits until a model answers and returns the newest version that does.

        Raises:
            Unavailable: it isn't ready after `timeout` seconds; says what was seen last.
            ServingError: the server refuses to tell (not for an unknown model: it may come).
        """
        spec = ModelSpec(model, version, label)
        return self._run(self._calls.wait_until_ready(spec, Deadline(timeout), self.timeout))

    def close(self) -> None:
        """Closes the connection."""
        self._carrier.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self.timeout if timeout is None else timeout)

    def _run(self, call: steps.Steps[Result]) -> Result:
        return steps.run(call, self._carrier)


def _carrier(endpoint: Endpoint) -> steps.Carrier:
    if endpoint.kind.carrier == "grpc":
        from client.grpc_carrier import GrpcCarrier

        return GrpcCarrier(endpoint)
    from client.http_carrier import HttpCarrier

    return HttpCarrier(endpoint)
