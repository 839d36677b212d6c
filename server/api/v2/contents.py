"""The tensors of ModelInfer's messages, typed or raw."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from server.api.v2 import inputs
from server.api.v2.inputs import Input
from server.engines.signatures import ModelSignature, TensorInfo
from server.errors import invalid
from server.inference.offload import LONG
from wire import datatypes, dtypes, raw_tensors, tensor_contents
from wire import open_inference_pb2 as pb

_LONG_TENSOR = LONG // 4  # elements


def signature_name(request: pb.ModelInferRequest) -> str:
    """Returns the signature that a request's parameters ask for; empty for the default.

    Raises:
        ServingError: as `inputs.signature_name`.
    """
    if not request.parameters:
        return ""
    parameters = {name: _value(request.parameters[name]) for name in request.parameters}
    return inputs.signature_name(parameters)


def output_names(request: pb.ModelInferRequest) -> Sequence[str]:
    """Returns the outputs that are asked for; none: all.

    Raises:
        ServingError: UNIMPLEMENTED, one is asked for in a form of an extension.
    """
    for output in request.outputs:
        inputs.refuse_unsupported(output.name, output.parameters)
    return [output.name for output in request.outputs]


def is_long(request: pb.ModelInferRequest) -> bool:
    """Tells whether its values take so long to read that the event loop shouldn't."""
    raw = request.raw_input_contents
    if raw:
        return any(tensor.datatype in inputs.LOOKED_AT for tensor in request.inputs) and (
            sum(map(len, raw)) > LONG
        )
    return any(
        math.prod(tensor.shape) > _LONG_TENSOR or tensor.contents.ByteSize() > LONG
        for tensor in request.inputs
    )


def arrays(request: pb.ModelInferRequest, signature: ModelSignature) -> dict[str, np.ndarray]:
    """Returns the inputs in the signature's dtypes.

    Raises:
        ServingError: INVALID_ARGUMENT, they aren't the signature's; UNIMPLEMENTED, one stands
            outside of the message.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise invalid(f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs")
    found = []
    for index, tensor in enumerate(request.inputs):
        if tensor.parameters:
            inputs.refuse_unsupported(tensor.name, tensor.parameters)
        shape = list(tensor.shape)
        if raw:
            if tensor.HasField("contents"):
                raise invalid(f"input {tensor.name} has both contents and raw_input_contents")
            read = functools.partial(raw_tensors.to_array, raw[index], shape=shape)
        else:
            read = functools.partial(tensor_contents.to_array, tensor.contents, shape=shape)
        found.append(Input(tensor.name, tensor.datatype, shape, read))
    return inputs.read_all(signature, found)


def fill(
    response: pb.ModelInferResponse,
    outputs: Mapping[str, np.ndarray],
    tensors: Mapping[str, TensorInfo],
    *,
    is_raw: bool,
) -> None:
    """Puts outputs into a response; all are raw if one has no typed form.

    Raises:
        ServingError: INVALID_ARGUMENT, the protocol has no data type for one.
    """
    names = {name: dtypes.array_name(array.dtype) for name, array in outputs.items()}
    is_raw = is_raw or not all(map(tensor_contents.has_form, names.values()))
    for name, array in outputs.items():
        datatype = inputs.datatype_of(tensors[name])
        if not datatypes.is_known(datatype):
            raise inputs.uncarried("output", name, datatype)
        output = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if is_raw:
            response.raw_output_contents.append(raw_tensors.from_array(array))
        else:
            output.contents.CopyFrom(tensor_contents.from_array(array))


def _value(parameter: pb.InferParameter) -> object:
    choice = parameter.WhichOneof("parameter_choice")
    return None if choice is None else getattr(parameter, choice)
