"""What the protocol asks for: a body, or a message, to Predict, its outputs to an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson

from server.api.v2 import body, contents, inputs, json_tensors
from server.api.v2.inputs import datatype_of, version_or_label
from server.inference import predict
from server.inference.ask import Answer, Ask, ModelSpec
from server.inference.offload import LONG, LONG_PLAIN, Offload
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

    __slots__ = ("_body", "_header_length", "_offload", "_request", "_spec")
    face = "V2_REST"
    method = _METHOD

    def __init__(
        self,
        spec: ModelSpec,
        content: bytes | bytearray,
        header_length: str | None,
        timeout: Timeout,
        offload: Offload,
    ) -> None:
        super().__init__(spec.name, timeout=timeout)
        self._spec, self._body, self._header_length = spec, content, header_length
        self._offload = offload

    async def parse(self) -> ModelSpec:
        """Parses the JSON, whose parameters name the signature."""
        content, length = self._body, self._header_length
        size, found = len(content), None
        if length is None and size <= LONG_PLAIN:
            rounds = self._offload.rounds
            if size > LONG and not rounds.take(size):
                await rounds.wait(size)
            found = body.read_plain(bytes(content))
        if found is None:
            if size > LONG and length is None:
                found = await self._offload(body.read, content, length)
            else:
                found = body.read(content, length)
        self._request = found
        return self._spec._replace(signature=found.signature) if found.signature else self._spec

    async def task(self, servable: Servable) -> Task:
        """Reads the tensors in the dtypes of the signature, binary ones without a copy."""
        request = self._request
        signature = predict.find(servable, request.signature)
        if request.is_long:
            arrays = await self._offload(request.arrays, signature)
        else:
            arrays = request.arrays(signature)
        return Predict(arrays, tuple(request.is_binary))

    async def render(self, answer: Answer) -> Response:
        """Renders JSON, and behind it the outputs that are binary."""
        if is_long(answer.result.values()):
            return await self._offload(self._rendered, answer)
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


def is_long(arrays: Iterable[np.ndarray]) -> bool:
    """Tells whether outputs take so long to render that the event loop shouldn't."""
    return sum(array.nbytes for array in arrays) > LONG


class GrpcInfer(Ask[pb.ModelInferResponse]):
    """An inference by gRPC."""

    __slots__ = ("_offload", "_request")
    face = "V2_GRPC"
    method = _METHOD

    def __init__(self, request: pb.ModelInferRequest, context: Context, offload: Offload) -> None:
        super().__init__(request.model_name, deadline=context.deadline)
        self._request, self._offload = request, offload

    async def parse(self) -> ModelSpec:
        """Returns what the message is for."""
        request = self._request
        version, label = version_or_label(request.model_version)
        return ModelSpec(request.model_name, version, label, contents.signature_name(request))

    async def task(self, servable: Servable) -> Task:
        """Reads the tensors, raw ones without a copy."""
        request = self._request
        signature = predict.find(servable, contents.signature_name(request))
        if contents.is_long(request):
            arrays = await self._offload(contents.arrays, request, signature)
        else:
            arrays = contents.arrays(request, signature)
        return Predict(arrays, contents.output_names(request))

    async def render(self, answer: Answer) -> pb.ModelInferResponse:
        """Returns the outputs in the form in which the inputs came."""
        if is_long(answer.result.values()):
            return await self._offload(self._response, answer)
        return self._response(answer)

    def _response(self, answer: Answer) -> pb.ModelInferResponse:
        request, servable = self._request, answer.servable
        response = pb.ModelInferResponse(
            model_name=servable.name, model_version=str(servable.version), id=request.id
        )
        tensors = servable.signatures[answer.signature].outputs
        contents.fill(response, answer.result, tensors, is_raw=bool(request.raw_input_contents))
        return response
