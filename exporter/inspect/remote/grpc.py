"""A model server's gRPC API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import Message

from artifact.manifest import SignatureRecord, Tensor
from exporter.inspect.remote.server import Arrays, Refusal, Unreachable, VersionState
from wire import dtypes, services
from wire import serving_pb2 as pb
from wire import tensors as wire_tensors

# Source: tensorflow_serving/apis/get_model_status.proto (enum ModelVersionStatus.State).
_STATES = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_DOWN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Grpc:
    """A server's gRPC port."""

    api = "gRPC"

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._channel = grpc.insecure_channel(f"{host}:{port}", options=_UNLIMITED)
        self._timeout = timeout

    def states(self, model: str) -> list[VersionState]:
        """See `Server`."""
        request = pb.GetModelStatusRequest(model_spec=pb.ModelSpec(name=model))
        answer = self._call(services.MODEL_METHODS["GetModelStatus"], request)
        return [
            VersionState(v.version, _STATES.get(v.state, "UNKNOWN"), v.status.error_message)
            for v in answer.model_version_status
        ]

    def tensors(self, model: str, version: int) -> Mapping[str, SignatureRecord]:
        """See `Server`."""
        request = pb.GetModelMetadataRequest(
            model_spec=_spec(model, version), metadata_field=["signature_def"]
        )
        answer = self._call(services.PREDICTION_METHODS["GetModelMetadata"], request)
        # Any.Unpack would insist on this project's own package name.
        found = pb.SignatureDefMap.FromString(answer.metadata["signature_def"].value)
        return {
            name: SignatureRecord(
                _tensors(entry.inputs), _tensors(entry.outputs), entry.method_name
            )
            for name, entry in found.signature_def.items()
        }

    def predict(
        self, model: str, version: int, signature: str, inputs: Arrays, outputs: Mapping[str, str]
    ) -> Arrays:
        """See `Server`."""
        request = pb.PredictRequest(
            model_spec=_spec(model, version, signature),
            inputs={name: wire_tensors.from_array(array) for name, array in inputs.items()},
        )
        answer = self._call(services.PREDICTION_METHODS["Predict"], request)
        return {name: wire_tensors.to_array(value) for name, value in answer.outputs.items()}

    def _call(self, method: services.Method, request: Message) -> Any:
        try:
            return method.stub(self._channel)(request, timeout=self._timeout)
        except grpc.RpcError as error:
            text = error.details() or error.code().name
            raise (Unreachable if error.code() in _DOWN else Refusal)(text) from None


def _spec(model: str, version: int, signature: str = "") -> pb.ModelSpec:
    spec = pb.ModelSpec(name=model, signature_name=signature)
    spec.version.value = version
    return spec


def _tensors(entries: Mapping[str, pb.TensorInfo]) -> dict[str, Tensor]:
    return {
        name: Tensor(
            tuple(None if n < 0 else n for n in wire_tensors.shape_of(entry.tensor_shape)),
            # The initialisation of a SavedModel is a signature, too, and has no dtype.
            dtypes.from_enum_name(dtypes.enum_name(entry.dtype)),
        )
        for name, entry in entries.items()
    }
