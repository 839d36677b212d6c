"""TensorFlow Serving's gRPC API: arrays to messages and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from client import errors, signature
from client.codec import Description, Predicted, RpcExchange
from client.features import to_input
from client.model_spec import ModelSpec
from client.results import STATES, Classification, Regression, VersionStatus
from client.signature import ServedSignature
from wire import serving_pb2 as pb
from wire import tensors
from wire.services import MODEL_METHODS, PREDICTION_METHODS


def predict_request(
    spec: ModelSpec, inputs: Mapping[str, np.ndarray], signature_name: str
) -> pb.PredictRequest:
    """Returns a predict call's message, numbers as `tensor_content`."""
    request = pb.PredictRequest(model_spec=spec_message(spec, signature_name))
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tensors.from_array(array, as_content=True))
    return request


def spec_message(spec: ModelSpec, signature_name: str | None = None) -> pb.ModelSpec:
    """Returns the message that names a model, a version or label, and a signature."""
    message = pb.ModelSpec(name=spec.model, signature_name=signature_name or "")
    if spec.version is not None:
        message.version.value = spec.version
    elif spec.label is not None:
        message.version_label = spec.label
    return message


class GrpcCodec:
    """The API's messages; see `client.codec.Codec`."""

    names_outputs = True

    def __init__(self, server: str):
        """Takes the server's name, which gRPC's own errors need not be given."""

    def predict(
        self,
        spec: ModelSpec,
        inputs: Mapping[str, np.ndarray],
        signature_name: str,
        signature: ServedSignature | None,
    ) -> RpcExchange[Predicted]:
        """Returns a predict call."""
        return RpcExchange(
            PREDICTION_METHODS["Predict"],
            predict_request(spec, inputs, signature_name),
            lambda response: Predicted(_version(response, spec), lambda _: _outputs(response)),
        )

    def classify(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
    ) -> RpcExchange[Classification]:
        """Returns a classify call."""

        def read(response: pb.ClassificationResponse) -> Classification:
            found = response.result.classifications
            results = [[(c.label, c.score) for c in each.classes] for each in found]
            return Classification(results, _version(response, spec))

        request = pb.ClassificationRequest(
            model_spec=spec_message(spec, signature_name), input=to_input(examples, context)
        )
        return RpcExchange(PREDICTION_METHODS["Classify"], request, read)

    def regress(
        self,
        spec: ModelSpec,
        examples: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None,
        signature_name: str | None,
    ) -> RpcExchange[Regression]:
        """Returns a regress call."""

        def read(response: pb.RegressionResponse) -> Regression:
            values = [each.value for each in response.result.regressions]
            return Regression(np.array(values, np.float32), _version(response, spec))

        request = pb.RegressionRequest(
            model_spec=spec_message(spec, signature_name), input=to_input(examples, context)
        )
        return RpcExchange(PREDICTION_METHODS["Regress"], request, read)

    def status(self, spec: ModelSpec) -> RpcExchange[list[VersionStatus]]:
        """Returns the question for the states of a model's versions."""

        def read(response: pb.GetModelStatusResponse) -> list[VersionStatus]:
            return [
                VersionStatus(
                    entry.version, STATES.get(entry.state, "UNKNOWN"), entry.status.error_message
                )
                for entry in response.model_version_status
            ]

        request = pb.GetModelStatusRequest(model_spec=spec_message(spec))
        return RpcExchange(MODEL_METHODS["GetModelStatus"], request, read)

    def describe(self, spec: ModelSpec) -> RpcExchange[Description]:
        """Returns the question for a version's signatures."""

        def read(response: pb.GetModelMetadataResponse) -> Description:
            # Any.Unpack would insist on this project's own package name.
            found = pb.SignatureDefMap.FromString(response.metadata["signature_def"].value)
            signatures = {
                name: signature.from_proto(value) for name, value in found.signature_def.items()
            }
            return Description(_version(response, spec), signatures)

        request = pb.GetModelMetadataRequest(
            model_spec=spec_message(spec), metadata_field=["signature_def"]
        )
        return RpcExchange(PREDICTION_METHODS["GetModelMetadata"], request, read)


def _outputs(response: pb.PredictResponse) -> dict[str, np.ndarray]:
    try:
        return {name: tensors.to_array(value) for name, value in response.outputs.items()}
    except ValueError as error:
        raise errors.ServingError("INTERNAL", f"can't read the answer: {error}") from None


def _version(response: Any, spec: ModelSpec) -> int | None:
    if response.model_spec.HasField("version"):
        return int(response.model_spec.version.value)
    return spec.version
