"""What the protocol asks for: a body, or a message, to Predict, its outputs to an answer."""

from __future__ import annotations

from typing import Any

import orjson

from server.api.v2 import body, contents, inputs, json_tensors
from server.api.v2.inputs import datatype_of, version_or_label
from server.inference import predict
from server.inference.core import Answer, Ask, ModelSpec
from server.inference.tasks import Predict, Task
from server.inference.timeout import Timeout
from server.models.servable import Servable
from server.protocol.grpc.method import Context
from server.protocol.http1.messages import Response
from wire import datatypes, raw_tensors
from wire import open_inference_pb2 as pb

_METHOD = "ModelInfer"


class RestInfer(Ask[Response]):
    """An inference by REST."""

    __slots__ = ("_body", "_header_length", "_request", "_spec")
    face = "V2_REST"
    method = _METHOD

    def __init__(
        self, spec: ModelSpec, content: bytes, header_length: str | None, timeout: Timeout
    ) -> None:
        super().__init__(spec.name, timeout=timeout)
        self._spec, self._body, self._header_length = spec, content, header_length

    async def parse(self) -> ModelSpec:
        """Parses the JSON, whose parameters name the signature."""
        self._request = body.read(self._body, self._header_length)
        return self._spec._replace(signature=self._request.signature)

    async def task(self, servable: Servable) -> Task:
        """Reads the tensors in the dtypes of the signature, binary ones without a copy."""
        request = self._request
        signature = predict.find(servable, request.signature)
        return Predict(request.arrays(signature), tuple(request.is_binary))

    async def render(self, answer: Answer) -> Response:
        """Renders JSON, and behind it the outputs that are binary."""
        return self._rendered(answer)

    def _rendered(self, answer: Answer) -> Response:
        request, servable = self._request, answer.servable
        tensors = servable.signatures[answer.signature].outputs
        outputs, pieces = [], []
        for name, array in answer.result.items():
            datatype = datatype_of(tensors[name])
            if not datatypes.is_known(datatype):
                raise inputs.uncarried("output", name, datatype)
            output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": array.shape}
            if request.is_binary.get(name, request.is_binary_by_default):
                piece = raw_tensors.from_array(array)
                output["parameters"] = {body.BINARY_SIZE: len(piece)}
                pieces.append(piece)
            else:
                output["data"] = json_tensors.from_array(array, name)
            outputs.append(output)
        document: dict[str, Any] = {
            "model_name": servable.name,
            "model_version": str(servable.version),
        }
        if request.id is not None:
            document["id"] = request.id
        document["outputs"] = outputs
        head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = {"X-Model-Version": str(servable.version)}
        if not pieces:
            return Response(head, headers=headers)
        headers[body.HEADER_LENGTH] = str(len(head))
        content = b"".join((head, *pieces))
        return Response(content, content_type="application/octet-stream", headers=headers)


class GrpcInfer(Ask[pb.ModelInferResponse]):
    """An inference by gRPC."""

    __slots__ = ("_request",)
    face = "V2_GRPC"
    method = _METHOD

    def __init__(self, request: pb.ModelInferRequest, context: Context) -> None:
        super().__init__(request.model_name, deadline=context.deadline)
        self._request = request

    async def parse(self) -> ModelSpec:
        """Returns what the message is for."""
        request = self._request
        version, label = version_or_label(request.model_version)
        return ModelSpec(request.model_name, version, label, contents.signature_name(request))

    async def task(self, servable: Servable) -> Task:
        """Reads the tensors, raw ones without a copy."""
        request = self._request
        signature = predict.find(servable, contents.signature_name(request))
        return Predict(contents.arrays(request, signature), contents.output_names(request))

    async def render(self, answer: Answer) -> pb.ModelInferResponse:
        """Returns the outputs in the form in which the inputs came."""
        request, servable = self._request, answer.servable
        response = pb.ModelInferResponse(
            model_name=servable.name, model_version=str(servable.version), id=request.id
        )
        tensors = servable.signatures[answer.signature].outputs
        contents.fill(response, answer.result, tensors, is_raw=bool(request.raw_input_contents))
        return response
