"""TensorFlow Serving's gRPC API: one channel, arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np

from client import errors, signature
from client.endpoint import Endpoint
from client.features import to_input
from client.results import STATES, Classification, Prediction, Regression, VersionStatus
from client.servable import Servable
from client.signature import ServedSignature
from wire import serving_pb2 as pb
from wire import tensors
from wire.services import MODEL_METHODS, PREDICTION_METHODS


def channel_options(endpoint: Endpoint) -> list[tuple[str, int]]:
    """Returns the channel's options: no 4 MB limit, and a quick return after an outage."""
    return [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.enable_http_proxy", 0 if endpoint.is_loopback else 1),
    ]


def credentials(endpoint: Endpoint) -> grpc.ChannelCredentials:
    """Returns the TLS credentials of a secure endpoint.

    Raises:
        OSError: a certificate or key file can't be read.
    """
    read = _read_file
    return grpc.ssl_channel_credentials(
        read(endpoint.ca_file), read(endpoint.key_file), read(endpoint.cert_file)
    )


def predict_request(
    servable: Servable, inputs: Mapping[str, np.ndarray], signature_name: str
) -> pb.PredictRequest:
    """Returns a predict call's message, numbers as `tensor_content`."""
    request = pb.PredictRequest(model_spec=model_spec(servable, signature_name))
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tensors.from_array(array, as_content=True))
    return request


def model_spec(servable: Servable, signature_name: str | None = None) -> pb.ModelSpec:
    """Returns the message that names a model, a version or label, and a signature."""
    spec = pb.ModelSpec(name=servable.model, signature_name=signature_name or "")
    if servable.version is not None:
        spec.version.value = servable.version
    elif servable.label is not None:
        spec.version_label = servable.label
    return spec


class Grpc:
    """Calls over one channel. Each method makes one try and takes its deadline in seconds."""

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint
        options = channel_options(endpoint)
        if endpoint.secure:
            self._channel = grpc.secure_channel(endpoint.address, credentials(endpoint), options)
        else:
            self._channel = grpc.insecure_channel(endpoint.address, options)
        methods = {**PREDICTION_METHODS, **MODEL_METHODS}
        self._stubs = {name: method.stub(self._channel) for name, method in methods.items()}
        self._metadata = (
            (("authorization", f"Bearer {endpoint.token}"),) if endpoint.token else None
        )

    def predict(
        self,
        servable: Servable,
        inputs: Mapping[str, np.ndarray],
        signature_name: str,
        signature_of: Callable[[int | None], ServedSignature | None],
        timeout: float,
    ) -> Prediction:
        """Sends a predict call; the answer names outputs and dtypes itself."""
        response = self._call("Predict", predict_request(servable, inputs, signature_name), timeout)
        try:
            outputs = {name: tensors.to_array(value) for name, value in response.outputs.items()}
        except ValueError as error:
            raise errors.ServingError("INTERNAL", f"can't read the answer: {error}") from None
        return Prediction(outputs, _version(response, servable))

    def classify(
        self,
        servable: Servable,
        examples: Sequence[dict[str, Any]],
        context: dict[str, Any] | None,
        signature_name: str | None,
        timeout: float,
    ) -> Classification:
        """Sends a classify call."""
        request = pb.ClassificationRequest(
            model_spec=model_spec(servable, signature_name), input=to_input(examples, context)
        )
        response = self._call("Classify", request, timeout)
        results = [[(c.label, c.score) for c in r.classes] for r in response.result.classifications]
        return Classification(results, _version(response, servable))

    def regress(
        self,
        servable: Servable,
        examples: Sequence[dict[str, Any]],
        context: dict[str, Any] | None,
        signature_name: str | None,
        timeout: float,
    ) -> Regression:
        """Sends a regress call."""
        request = pb.RegressionRequest(
            model_spec=model_spec(servable, signature_name), input=to_input(examples, context)
        )
        response = self._call("Regress", request, timeout)
        values = np.array([r.value for r in response.result.regressions], np.float32)
        return Regression(values, _version(response, servable))

    def status(self, servable: Servable, timeout: float) -> list[VersionStatus]:
        """Asks for the states of a model's versions, newest first."""
        request = pb.GetModelStatusRequest(model_spec=model_spec(servable))
        response = self._call("GetModelStatus", request, timeout)
        return [
            VersionStatus(
                entry.version, STATES.get(entry.state, "UNKNOWN"), entry.status.error_message
            )
            for entry in response.model_version_status
        ]

    def metadata(self, servable: Servable, timeout: float) -> dict[str, ServedSignature]:
        """Asks for a model's signatures by name."""
        request = pb.GetModelMetadataRequest(
            model_spec=model_spec(servable), metadata_field=["signature_def"]
        )
        response = self._call("GetModelMetadata", request, timeout)
        # Any.Unpack would insist on this project's own package name.
        signatures = pb.SignatureDefMap.FromString(response.metadata["signature_def"].value)
        return {
            name: signature.from_proto(value) for name, value in signatures.signature_def.items()
        }

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _call(self, method: str, request: Any, timeout: float) -> Any:
        try:
            return self._stubs[method](request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            name, details = error.code().name, error.details() or ""
            if name == "UNAVAILABLE":
                raise errors.Unavailable(f"{self._endpoint}: {details}") from None
            if name == "DEADLINE_EXCEEDED":
                details = f"no answer from {self._endpoint} within {timeout:.3g} s ({details})"
            raise errors.ServingError(name, details) from None


def _version(response: Any, servable: Servable) -> int | None:
    if response.model_spec.HasField("version"):
        return int(response.model_spec.version.value)
    return servable.version


def _read_file(file: str | None) -> bytes | None:
    if file is None:
        return None
    with open(file, "rb") as stream:
        return stream.read()
