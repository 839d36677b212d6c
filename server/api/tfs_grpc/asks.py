"""What gRPC asks for: messages to a task, its result to messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from server.api.tfs_grpc.specs import model_spec
from server.engines.signatures import ModelSignature
from server.errors import invalid
from server.inference import predict
from server.inference.ask import Answer, Ask, ModelSpec
from server.inference.offload import LONG, Offload
from server.inference.tasks import Classify, MultiInference, Predict, Regress, Task
from server.models.servable import Servable
from server.protocol.grpc.method import Context
from wire import dtypes, tensors
from wire import serving_pb2 as pb

R = TypeVar("R")

_LONG_TENSOR = LONG // 4  # elements
# Dtypes whose numbers are viewed where they stand in the message.
_VIEWED = frozenset(map(dtypes.number, ("float32", "float64", "complex64", "complex128")))


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

    __slots__ = ("_as_content", "_offload")
    method = "Predict"

    def __init__(
        self,
        request: pb.PredictRequest,
        context: Context,
        offload: Offload,
        *,
        as_content: bool,
    ) -> None:
        super().__init__(request, context)
        self._offload = offload
        self._as_content = as_content

    async def task(self, servable: Servable) -> Task:
        """Reads the tensors, if the signature is there."""
        request = self._request
        signature = predict.find(servable, request.model_spec.signature_name)
        inputs = request.inputs
        # By its names: protobuf's views of a map's values and items are written in Python.
        protos = {name: inputs[name] for name in inputs}
        for proto in protos.values():
            if proto.dtype not in _VIEWED and _is_long(proto):
                arrays = await self._offload(_arrays, protos, signature)
                break
        else:
            arrays = _arrays(protos, signature)
        return Predict(arrays, request.output_filter)

    async def render(self, answer: Answer) -> pb.PredictResponse:
        """Returns the outputs in their typed fields, or as bytes where that was chosen."""
        for array in answer.result.values():
            if array.nbytes > LONG:
                return await self._offload(self._response, answer)
        return self._response(answer)

    def _response(self, answer: Answer) -> pb.PredictResponse:
        response = pb.PredictResponse()
        self._fill(response.model_spec, answer)
        for name, array in answer.result.items():
            tensors.write(array, response.outputs[name], as_content=self._as_content)
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
        name = request.tasks[0].model_spec.name if request.tasks else ""
        super().__init__(name, deadline=context.deadline)
        self._request = request

    async def parse(self) -> ModelSpec:
        """Returns the spec of the first task; without one there is no name."""
        tasks = self._request.tasks
        if not tasks or not tasks[0].HasField("model_spec"):
            return ModelSpec("")
        return model_spec(tasks[0])

    async def task(self, servable: Servable) -> Task:
        """Returns the tasks."""
        return MultiInference(self._request)

    async def render(self, answer: Answer) -> pb.MultiInferenceResponse:
        """Returns the results, whose specs are theirs already."""
        response: pb.MultiInferenceResponse = answer.result
        return response


def _is_long(proto: pb.TensorProto) -> bool:
    size = 1
    for dim in proto.tensor_shape.dim:
        size *= dim.size
    return size > _LONG_TENSOR


def _arrays(
    inputs: Mapping[str, pb.TensorProto], signature: ModelSignature
) -> dict[str, np.ndarray]:
    arrays = {}
    for name, proto in inputs.items():
        try:
            arrays[name] = tensors.to_array(proto)
        except tensors.TensorError:
            predict.check_names(signature, list(inputs))  # which come first
            raise invalid(f"tensor parsing error: {name}") from None
    return arrays
