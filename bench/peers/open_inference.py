"""The Open Inference Protocol's gRPC call, for peers whose users define the service."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.peers.bundle import Tensor
from wire import open_inference_pb2 as pb

_SERVICE = "inference.GRPCInferenceService"


def add_to_server(servicer: Any, server: Any) -> None:
    """Adds the call to a gRPC server, as the code that grpcio-tools writes does."""
    import grpc

    handler = grpc.unary_unary_rpc_method_handler(
        servicer.ModelInfer,
        request_deserializer=pb.ModelInferRequest.FromString,
        response_serializer=pb.ModelInferResponse.SerializeToString,
    )
    handlers = grpc.method_handlers_generic_handler(_SERVICE, {"ModelInfer": handler})
    server.add_generic_rpc_handlers((handlers,))


def rows(request: pb.ModelInferRequest, about: Tensor) -> np.ndarray:
    """Returns a request's rows, which are raw."""
    return np.frombuffer(request.raw_input_contents[0], about.dtype).reshape(
        request.inputs[0].shape
    )


def response(
    request: pb.ModelInferRequest, about: Tensor, outputs: np.ndarray
) -> pb.ModelInferResponse:
    """Returns the answer, likewise raw."""
    answer = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
    answer.outputs.add(name=about.name, datatype=about.datatype, shape=outputs.shape)
    answer.raw_output_contents.append(outputs.tobytes())
    return answer
