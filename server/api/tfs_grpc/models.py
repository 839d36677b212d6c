"""tensorflow.serving.ModelService."""

from __future__ import annotations

from typing import Any

from server.api.tfs_grpc.specs import model_spec
from server.errors import Code, invalid
from server.inference.core import Core
from server.models import model_config
from wire import serving_pb2 as pb


class ModelService:
    """The methods of the service; a `ServingError` of theirs is the call's status."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetModelStatus(
        self, request: pb.GetModelStatusRequest, context: Any
    ) -> pb.GetModelStatusResponse:
        """Returns the states of a model's versions."""
        spec = model_spec(request)
        response = pb.GetModelStatusResponse()
        for version in self._core.repository.versions(spec.name, spec.version, spec.label):
            status = response.model_version_status.add(version=version.number, state=version.state)
            status.status.error_code = version.error.code if version.error else Code.OK
            status.status.error_message = version.error.message if version.error else ""
        return response

    async def HandleReloadConfigRequest(
        self, request: pb.ReloadConfigRequest, context: Any
    ) -> pb.ReloadConfigResponse:
        """Replaces the whole configuration; the answer comes when new models are there.

        Source: tensorflow_serving/model_servers/model_service_impl.cc, where an error is the
        call's status, too.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        await self._core.configure(model_config.from_message(request.config))
        return pb.ReloadConfigResponse(status=pb.StatusProto(error_code=Code.OK))
