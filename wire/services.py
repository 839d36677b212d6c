"""The gRPC services of both APIs: their methods, paths and messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from wire import open_inference_pb2 as v2
from wire import profiler_pb2
from wire import serving_pb2 as pb


@dataclass(frozen=True)
class Method:
    """A unary method: its path on the wire and the classes of its messages."""

    path: str
    request: type[Message]
    response: type[Message]

    def stub(self, channel: Any) -> Any:
        """Returns a callable on a `grpc` or `grpc.aio` channel."""
        return channel.unary_unary(
            self.path,
            request_serializer=self.request.SerializeToString,
            response_deserializer=self.response.FromString,
        )


def _service(name: str, **methods: tuple[type[Message], type[Message]]) -> Mapping[str, Method]:
    return {key: Method(f"/{name}/{key}", *messages) for key, messages in methods.items()}


PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
PROFILER_SERVICE = "tensorflow.ProfilerService"
INFERENCE_SERVICE = "inference.GRPCInferenceService"

PREDICTION_METHODS = _service(
    PREDICTION_SERVICE,
    Classify=(pb.ClassificationRequest, pb.ClassificationResponse),
    Regress=(pb.RegressionRequest, pb.RegressionResponse),
    Predict=(pb.PredictRequest, pb.PredictResponse),
    MultiInference=(pb.MultiInferenceRequest, pb.MultiInferenceResponse),
    GetModelMetadata=(pb.GetModelMetadataRequest, pb.GetModelMetadataResponse),
)
PROFILER_METHODS = _service(
    PROFILER_SERVICE,
    Profile=(profiler_pb2.ProfileRequest, profiler_pb2.ProfileResponse),
    Monitor=(profiler_pb2.MonitorRequest, profiler_pb2.MonitorResponse),
    Terminate=(profiler_pb2.TerminateRequest, profiler_pb2.TerminateResponse),
)
MODEL_METHODS = _service(
    MODEL_SERVICE,
    GetModelStatus=(pb.GetModelStatusRequest, pb.GetModelStatusResponse),
    HandleReloadConfigRequest=(pb.ReloadConfigRequest, pb.ReloadConfigResponse),
)
INFERENCE_METHODS = _service(
    INFERENCE_SERVICE,
    ServerLive=(v2.ServerLiveRequest, v2.ServerLiveResponse),
    ServerReady=(v2.ServerReadyRequest, v2.ServerReadyResponse),
    ServerMetadata=(v2.ServerMetadataRequest, v2.ServerMetadataResponse),
    ModelReady=(v2.ModelReadyRequest, v2.ModelReadyResponse),
    ModelMetadata=(v2.ModelMetadataRequest, v2.ModelMetadataResponse),
    ModelInfer=(v2.ModelInferRequest, v2.ModelInferResponse),
    RepositoryIndex=(v2.RepositoryIndexRequest, v2.RepositoryIndexResponse),
    RepositoryModelLoad=(v2.RepositoryModelLoadRequest, v2.RepositoryModelLoadResponse),
    RepositoryModelUnload=(v2.RepositoryModelUnloadRequest, v2.RepositoryModelUnloadResponse),
)
