"""The Open Inference Protocol's gRPC API, tensors in their raw form.

Source: kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from client.codec import Description, Predicted, RpcExchange
from client.model_spec import ModelSpec
from client.open_inference import (
    SIGNATURE_PARAMETER,
    WithoutExamples,
    array_spec,
    datatype_of,
    description,
    new_id,
    read_answer,
    statuses,
    version_number,
    version_text,
)
from client.results import VersionStatus
from client.signature import DEFAULT, ArraySpec, ServedSignature
from wire import datatypes, raw_tensors, tensor_contents
from wire import open_inference_pb2 as pb
from wire.services import INFERENCE_METHODS


def infer_request(
    spec: ModelSpec, inputs: Mapping[str, np.ndarray], signature_name: str
) -> pb.ModelInferRequest:
    """Returns an inference call's message.

    Raises:
        ValueError: the protocol has no data type for an input.
    """
    request = pb.ModelInferRequest(
        model_name=spec.model, model_version=version_text(spec), id=new_id()
    )
    if signature_name != DEFAULT:
        request.parameters[SIGNATURE_PARAMETER].string_param = signature_name
    for name, array in inputs.items():
        request.inputs.add(name=name, datatype=datatype_of(name, array), shape=array.shape)
        request.raw_input_contents.append(raw_tensors.from_array(array))
    return request


def read_outputs(response: pb.ModelInferResponse) -> dict[str, np.ndarray]:
    """Returns the outputs that an answer holds, raw or typed.

    Raises:
        ValueError: it is no such answer.
    """
    found = {}
    raw = response.raw_output_contents
    for index, output in enumerate(response.outputs):
        dtype_name, shape = datatypes.dtype_name(output.datatype), list(output.shape)
        if index < len(raw):
            found[output.name] = raw_tensors.to_array(raw[index], dtype_name, shape)
        else:
            found[output.name] = tensor_contents.to_array(output.contents, dtype_name, shape)
    return found


class V2GrpcCodec(WithoutExamples):
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

        def read(response: pb.ModelInferResponse) -> Predicted:
            version = version_number(response.model_version)
            return Predicted(
                spec.version if version is None else version,
                lambda _: read_answer(lambda: read_outputs(response)),
            )

        request = infer_request(spec, inputs, signature_name)
        return RpcExchange(INFERENCE_METHODS["ModelInfer"], request, read)

    def status(self, spec: ModelSpec) -> RpcExchange[list[VersionStatus]]:
        """Returns the question for the versions of a model that answer."""

        def read(response: pb.ModelMetadataResponse) -> list[VersionStatus]:
            return statuses(spec, response.versions, response.properties)

        return RpcExchange(INFERENCE_METHODS["ModelMetadata"], _about(spec), read)

    def describe(self, spec: ModelSpec) -> RpcExchange[Description]:
        """Returns the question for a version's inputs and outputs."""

        def read(response: pb.ModelMetadataResponse) -> Description:
            return description(
                spec,
                response.versions,
                _specs(response.inputs),
                _specs(response.outputs),
                response.properties,
            )

        return RpcExchange(INFERENCE_METHODS["ModelMetadata"], _about(spec), read)


def _about(spec: ModelSpec) -> pb.ModelMetadataRequest:
    return pb.ModelMetadataRequest(name=spec.model, version=version_text(spec))


def _specs(
    tensors: Iterable[pb.ModelMetadataResponse.TensorMetadata],
) -> dict[str, ArraySpec]:
    return {tensor.name: array_spec(tensor.datatype, tensor.shape) for tensor in tensors}
