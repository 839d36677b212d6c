"""tensorflow.serving.PredictionService."""

from __future__ import annotations

from server.api.tfs_grpc.asks import GrpcClassify, GrpcMultiInference, GrpcPredict, GrpcRegress
from server.api.tfs_grpc.specs import model_spec
from server.errors import invalid
from server.inference.core import Core
from server.protocol.grpc.method import Context
from wire import serving_pb2 as pb


class PredictionService:
    """The methods of the service; a `ServingError` of theirs is the call's status."""

    def __init__(self, core: Core, *, as_tensor_content: bool = False) -> None:
        self._core = core
        self._as_content = as_tensor_content

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        """Runs a signature on named tensors."""
        core, as_content = self._core, self._as_content
        return await core.infer(GrpcPredict(request, context, core.offload, as_content=as_content))

    async def Classify(
        self, request: pb.ClassificationRequest, context: Context
    ) -> pb.ClassificationResponse:
        """Classifies examples."""
        return await self._core.infer(GrpcClassify(request, context))

    async def Regress(
        self, request: pb.RegressionRequest, context: Context
    ) -> pb.RegressionResponse:
        """Gives each example a value."""
        return await self._core.infer(GrpcRegress(request, context))

    async def MultiInference(
        self, request: pb.MultiInferenceRequest, context: Context
    ) -> pb.MultiInferenceResponse:
        """Runs several of the two above on the same examples of one model."""
        return await self._core.infer(GrpcMultiInference(request, context))

    async def GetModelMetadata(
        self, request: pb.GetModelMetadataRequest, context: Context
    ) -> pb.GetModelMetadataResponse:
        """Returns the model's signatures."""
        spec = model_spec(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != "signature_def":
                raise invalid(f"Metadata field {field} is not supported")
        servable = self._core.servable(spec)
        response = pb.GetModelMetadataResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        packed = response.metadata["signature_def"]
        packed.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        packed.value = servable.metadata.SerializeToString()
        return response
