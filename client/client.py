"""The client: predictions from a model server, by REST or gRPC, in the same words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from client.arrays import to_array
from client.endpoint import DEFAULT_PORTS, Api, Endpoint
from client.errors import ServingError, Unavailable
from client.results import Classification, Prediction, Regression, VersionStatus
from client.retry import Retry
from client.servable import Servable
from client.signature import DEFAULT, ServedSignature

if TYPE_CHECKING:
    from client.grpc import Grpc
    from client.rest import Rest

Answer = TypeVar("Answer")
# A server may do without metadata; then inputs and outputs are taken as they are.
_NO_METADATA = ("UNIMPLEMENTED", "INVALID_ARGUMENT", "INTERNAL", "UNKNOWN")


class Client:
    """A connection to a model server; usable from several threads.

    Works with TensorFlow Serving and with this project's server. Calls that find the server
    unavailable are tried again until their deadline; no other error is.

    Example:
        with Client("localhost", 8501) as client:
            print(client.predict("mnist_flax", images).outputs)

    Args:
        host: Name or address.
        port: TCP port; TensorFlow Serving's, 8501 or 8500, by default.
        api: `"rest"` or `"grpc"`.
        timeout: Seconds that a call may take, its repeated tries included.
        retry: How to try again; `Retry(tries=1)` doesn't.
        tls: Encrypt with the system's authorities.
        ca_file: Encrypt; PEM file of the authorities to trust.
        cert_file: PEM file of the client's certificate, for servers that ask for one.
        key_file: PEM file of its key.
        token: Bearer token to send.

    Raises:
        ValueError: an impossible combination of these.
        OSError: a certificate file can't be read.
    """

    def __init__(
        self,
        host: str = "localhost",
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
    ):
        if port is None:
            port = DEFAULT_PORTS.get(api, 0)
        self.endpoint = Endpoint(host, port, api, tls, ca_file, cert_file, key_file, token)
        self.timeout = timeout
        self._retry = retry or Retry()
        self._transport = _connect(self.endpoint)
        self._signatures: dict[Servable, dict[str, ServedSignature] | None] = {}

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
            timeout: Seconds, in place of the client's.

        Raises:
            ServingError: the server's refusal, with its code.
            Unavailable: nobody answers, or the server is too busy.
            ValueError: inputs that can't be sent.
        """
        servable = Servable(model, version, label)
        known = self._signature(servable, signature)
        if known is not None:
            arrays = known.named_inputs(inputs)
        else:
            named = inputs if isinstance(inputs, Mapping) else {"inputs": inputs}
            arrays = {name: to_array(value) for name, value in named.items()}

        def signature_of(served: int | None) -> ServedSignature | None:
            if served is None:
                return known
            try:
                return self._signature(Servable(model, served), signature)
            except ServingError:  # that version has gone since it answered
                return known

        try:
            return self._call(
                lambda left: self._transport.predict(
                    servable, arrays, signature, signature_of, left
                ),
                timeout,
            )
        except ServingError as error:
            if error.code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND"):
                self._signatures.pop(servable, None)  # a newer version may take something else
            raise

    def classify(
        self,
        model: str,
        examples: Sequence[dict[str, Any]],
        *,
        context: dict[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout: float | None = None,
    ) -> Classification:
        """Classifies examples, each a dictionary of features; raises as `predict` does."""
        servable = Servable(model, version, label)
        return self._call(
            lambda left: self._transport.classify(servable, examples, context, signature, left),
            timeout,
        )

    def regress(
        self,
        model: str,
        examples: Sequence[dict[str, Any]],
        *,
        context: dict[str, Any] | None = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout: float | None = None,
    ) -> Regression:
        """Regresses examples, each a dictionary of features; raises as `predict` does."""
        servable = Servable(model, version, label)
        return self._call(
            lambda left: self._transport.regress(servable, examples, context, signature, left),
            timeout,
        )

    def status(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> list[VersionStatus]:
        """Returns the states of a model's versions, newest first; raises as `predict` does."""
        servable = Servable(model, version, label)
        states = self._call(lambda left: self._transport.status(servable, left), timeout)
        return sorted(states, key=lambda entry: entry.version, reverse=True)

    def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> dict[str, ServedSignature]:
        """Returns a model's signatures by name; raises as `predict` does."""
        servable = Servable(model, version, label)
        return self._call(lambda left: self._transport.metadata(servable, left), timeout)

    def served_version(
        self, model: str, *, version: int | None = None, label: str | None = None
    ) -> int:
        """Returns the newest version that answers requests, of those asked for.

        Raises:
            Unavailable: none does yet; says what state they are in. Else as `predict`.
        """
        states = self.status(model, version=version, label=label)
        available = [state.version for state in states if state.available]
        if available:
            return max(available)
        seen = ", ".join(f"version {s.version} is {s.state} {s.error}".rstrip() for s in states)
        raise Unavailable(f"{Servable(model, version, label)} answers no requests: {seen}")

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
        end = time.monotonic() + timeout
        pause = 0.02
        while True:
            try:
                return self.served_version(model, version=version, label=label)
            except ServingError as error:
                if error.code not in ("UNAVAILABLE", "NOT_FOUND", "DEADLINE_EXCEEDED"):
                    raise
                if time.monotonic() + pause >= end:
                    raise Unavailable(f"not ready after {timeout:g} s: {error.message}") from None
            time.sleep(pause)
            pause = min(2 * pause, 0.5)

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _signature(self, servable: Servable, name: str) -> ServedSignature | None:
        if servable not in self._signatures:
            try:
                found = self._call(lambda left: self._transport.metadata(servable, left), None)
            except ServingError as error:
                if error.code not in _NO_METADATA:
                    raise
                found = None
            self._signatures[servable] = found
        return (self._signatures[servable] or {}).get(name)

    def _call(self, attempt: Callable[[float], Answer], timeout: float | None) -> Answer:
        return self._retry.call(attempt, self.timeout if timeout is None else timeout)


def _connect(endpoint: Endpoint) -> Rest | Grpc:
    if endpoint.api == "grpc":
        from client.grpc import Grpc

        return Grpc(endpoint)
    from client.rest import Rest

    return Rest(endpoint)
