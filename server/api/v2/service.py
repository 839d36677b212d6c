"""inference.GRPCInferenceService."""

from __future__ import annotations

from typing import Any

from server.api.v2 import metadata, repository
from server.api.v2.asks import GrpcInfer
from server.inference.core import Core
from server.protocol.grpc.method import Context
from wire import open_inference_pb2 as pb


class InferenceService:
    """The methods of the service; a `ServingError` of theirs is the call's status."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Any) -> Any:
        """Tells that the process answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Any) -> Any:
        """Tells whether everything is loaded."""
        return pb.ServerReadyResponse(ready=await metadata.is_server_ready(self._core))

    async def ServerMetadata(self, request: pb.ServerMetadataRequest, context: Any) -> Any:
        """Returns the server's name, version and extensions."""
        return pb.ServerMetadataResponse(**metadata.server())

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Any) -> Any:
        """Tells whether a model answers requests; an unknown one doesn't, as in Triton."""
        is_ready = metadata.is_model_ready(self._core, request.name, request.version)
        return pb.ModelReadyResponse(ready=bool(is_ready))

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Any) -> Any:
        """Returns a model's versions, inputs and outputs."""
        found = metadata.model(self._core, request.name, request.version)
        return pb.ModelMetadataResponse(**found)

    async def ModelInfer(
        self, request: pb.ModelInferRequest, context: Context
    ) -> pb.ModelInferResponse:
        """Runs a signature on named tensors."""
        return await self._core.infer(GrpcInfer(request, context, self._core.offload))

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest, context: Any) -> Any:
        """Returns what is configured and how it is."""
        entries = await repository.index(
            self._core, request.repository_name, ready_only=request.ready
        )
        return pb.RepositoryIndexResponse(models=[entry._asdict() for entry in entries])

    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Any
    ) -> Any:
        """Brings a model into service."""
        name = request.model_name
        await repository.load(self._core, request.repository_name, name, request.parameters)
        return pb.RepositoryModelLoadResponse(model_name=name, isLoaded=True)

    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Any
    ) -> Any:
        """Takes a model out of service."""
        await repository.unload(self._core, request.repository_name, request.model_name)
        return pb.RepositoryModelUnloadResponse(model_name=request.model_name, isUnloaded=True)
