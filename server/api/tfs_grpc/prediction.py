"""tensorflow.serving.PredictionService."""

from __future__ import annotations

from typing import Any

from server.api.tfs_grpc.specs import model_spec
from server.engines import signatures
from server.errors import invalid
from server.inference import examples as example_inference
from server.inference import predict
from server.inference.core import Core, ModelSpec
from server.models.servable import Servable
from server.protocol.grpc.call import Context
from server.telemetry.observation import Observation
from wire import serving_pb2 as pb
from wire import tensors


class PredictionService:
    """The methods of the service; a `ServingError` of theirs is the call's status."""

    def __init__(self, core: Core, *, as_tensor_content: bool = False) -> None:
        self._core = core
        self._as_content = as_tensor_content

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        """Runs a signature on named tensors."""
        with self._watch("Predict", request) as seen:
            spec = model_spec(request)
            with self._core.admission, self._core.servable(spec) as servable:
                seen.version = servable.version
                signature = predict.find(servable, spec.signature)
                outputs = await predict.predict(
                    self._core.execute,
                    servable,
                    signature.name,
                    _arrays(request),
                    output_filter=request.output_filter,
                    deadline=context.deadline,
                )
                response = pb.PredictResponse()
                _fill(response.model_spec, servable, spec)
                for name, array in outputs.items():
                    response.outputs[name].CopyFrom(
                        tensors.from_array(array, as_content=self._as_content)
                    )
                if self._core.request_log.wants(servable.name):
                    self._core.request_log.add(
                        servable, signature.name, "predict_log", request, response
                    )
                return response

    async def Classify(
        self, request: pb.ClassificationRequest, context: Context
    ) -> pb.ClassificationResponse:
        """Classifies examples."""
        infer = example_inference.classify
        return await self._infer("Classify", infer, request, context, pb.ClassificationResponse)

    async def Regress(
        self, request: pb.RegressionRequest, context: Context
    ) -> pb.RegressionResponse:
        """Gives each example a value."""
        infer = example_inference.regress
        return await self._infer("Regress", infer, request, context, pb.RegressionResponse)

    async def MultiInference(
        self, request: pb.MultiInferenceRequest, context: Context
    ) -> pb.MultiInferenceResponse:
        """Runs several of the two above on the same examples of one model."""
        if not request.tasks:
            raise invalid("MultiInferenceRequest has no tasks")
        with self._watch("MultiInference", request.tasks[0]) as seen:
            if any(not task.model_spec.name for task in request.tasks):
                raise invalid("Found ModelSpec with an empty model name.")
            if len({task.model_spec.name for task in request.tasks}) > 1:
                raise invalid(
                    "All ModelSpecs in a MultiInferenceRequest must access the same model name."
                )
            spec = model_spec(request.tasks[0])
            with self._core.admission, self._core.servable(spec) as servable:
                seen.version = servable.version
                self._count_examples(servable, request.input)
                response = await example_inference.multi_inference(
                    self._core.execute, servable, request, deadline=context.deadline
                )
                if self._core.request_log.wants(servable.name):
                    self._core.request_log.add(
                        servable, seen.signature, "multi_inference_log", request, response
                    )
                return response

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

    async def _infer(
        self, method: str, infer: Any, request: Any, context: Context, response: type[Any]
    ) -> Any:
        with self._watch(method, request) as seen:
            spec = model_spec(request)
            with self._core.admission, self._core.servable(spec) as servable:
                seen.version = servable.version
                self._count_examples(servable, request.input)
                result = await infer(
                    self._core.execute,
                    servable,
                    spec.signature,
                    request.input,
                    deadline=context.deadline,
                )
                answer = response(result=result)
                _fill(answer.model_spec, servable, spec)
                if self._core.request_log.wants(servable.name):
                    kind = f"{method.lower()}_log"
                    self._core.request_log.add(servable, seen.signature, kind, request, answer)
                return answer

    def _watch(self, method: str, request: Any) -> Observation:
        seen = self._core.observer.watch("GRPC", method, request.model_spec.name)
        seen.signature = request.model_spec.signature_name or signatures.DEFAULT
        return seen

    def _count_examples(self, servable: Servable, examples: pb.Input) -> None:
        self._core.observer.record_examples(servable.name, example_inference.count(examples))


def _arrays(request: pb.PredictRequest) -> dict[str, Any]:
    arrays = {}
    for name, proto in request.inputs.items():
        try:
            arrays[name] = tensors.to_array(proto)
        except tensors.TensorError as error:
            raise invalid(f"tensor parsing error: {name}: {error}") from None
    return arrays


def _fill(message: pb.ModelSpec, servable: Servable, spec: ModelSpec) -> None:
    message.name = spec.name
    message.signature_name = spec.signature or signatures.DEFAULT
    message.version.value = servable.version
