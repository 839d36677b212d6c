"""What gRPC asks for: messages to a task, its result to messages."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from server.api.tfs_grpc.specs import model_spec
from server.errors import invalid
from server.inference import predict
from server.inference.core import Answer, Ask, ModelSpec
from server.inference.tasks import Classify, MultiInference, Predict, Regress, Task
from server.models.servable import Servable
from server.protocol.grpc.method import Context
from wire import serving_pb2 as pb
from wire import tensors

R = TypeVar("R")


class GrpcAsk(Ask[R]):
    """An inference by gRPC."""

    __slots__ = ("_request",)
    face = "GRPC"

    def __init__(self, request: Any, context: Context) -> None:
        super().__init__(request.model_spec.name, deadline=context.deadline)
        self._request = request

    async def parse(self) -> ModelSpec:
        """Returns the request's spec."""
        return model_spec(self._request)

    def _fill(self, message: pb.ModelSpec, answer: Answer) -> None:
        message.name = answer.servable.name
        message.signature_name = answer.signature
        message.version.value = answer.servable.version


class GrpcPredict(GrpcAsk[pb.PredictResponse]):
    """Named tensors."""

    __slots__ = ("_as_content",)
    method = "Predict"

    def __init__(self, request: pb.PredictRequest, context: Context, *, as_content: bool) -> None:
        super().__init__(request, context)
        self._as_content = as_content

    async def task(self, servable: Servable) -> Task:
        """Reads the tensors, if the signature is there."""
        predict.find(servable, self._request.model_spec.signature_name)
        return Predict(_arrays(self._request), self._request.output_filter)

    async def render(self, answer: Answer) -> pb.PredictResponse:
        """Returns the outputs in their typed fields, or as bytes where that was chosen."""
        response = pb.PredictResponse()
        self._fill(response.model_spec, answer)
        for name, array in answer.result.items():
            response.outputs[name].CopyFrom(tensors.from_array(array, as_content=self._as_content))
        return response


class GrpcClassify(GrpcAsk[pb.ClassificationResponse]):
    """Examples to classes and scores."""

    __slots__ = ()
    method = "Classify"

    async def task(self, servable: Servable) -> Task:
        """Returns the examples."""
        return Classify(self._request.input)

    async def render(self, answer: Answer) -> pb.ClassificationResponse:
        """Returns the result with its spec."""
        response = pb.ClassificationResponse(result=answer.result)
        self._fill(response.model_spec, answer)
        return response


class GrpcRegress(GrpcAsk[pb.RegressionResponse]):
    """Examples to a value each."""

    __slots__ = ()
    method = "Regress"

    async def task(self, servable: Servable) -> Task:
        """Returns the examples."""
        return Regress(self._request.input)

    async def render(self, answer: Answer) -> pb.RegressionResponse:
        """Returns the result with its spec."""
        response = pb.RegressionResponse(result=answer.result)
        self._fill(response.model_spec, answer)
        return response


class GrpcMultiInference(Ask[pb.MultiInferenceResponse]):
    """Several of the two above on the same examples of one model."""

    __slots__ = ("_request",)
    face = "GRPC"
    method = "MultiInference"

    def __init__(self, request: pb.MultiInferenceRequest, context: Context) -> None:
        super().__init__(request.tasks[0].model_spec.name, deadline=context.deadline)
        self._request = request

    async def parse(self) -> ModelSpec:
        """Returns the spec of the first task."""
        names = [task.model_spec.name for task in self._request.tasks]
        if not all(names):
            raise invalid("Found ModelSpec with an empty model name.")
        if len(set(names)) > 1:
            raise invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        return model_spec(self._request.tasks[0])

    async def task(self, servable: Servable) -> Task:
        """Returns the tasks."""
        return MultiInference(self._request)

    async def render(self, answer: Answer) -> pb.MultiInferenceResponse:
        """Returns the results, whose specs are theirs already."""
        response: pb.MultiInferenceResponse = answer.result
        return response


def _arrays(request: pb.PredictRequest) -> dict[str, np.ndarray]:
    arrays = {}
    for name, proto in request.inputs.items():
        try:
            arrays[name] = tensors.to_array(proto)
        except tensors.TensorError as error:
            raise invalid(f"tensor parsing error: {name}: {error}") from None
    return arrays
