"""What a request on a servable means: checks, execution and results, in TensorFlow Serving's rules.

REST, gRPC and warm-up all come through here. Source of rules and error texts:
tensorflow_serving/servables/tensorflow/predict_util.cc
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from server.engines import signatures
from server.engines.signatures import ModelSignature
from server.errors import Code, ServingError, invalid
from server.models.servable import Servable
from wire import dtypes, methods

_METHODS = (methods.PREDICT, methods.CLASSIFY, methods.REGRESS)


class EngineCall(NamedTuple):
    """One execution that an engine is asked for.

    Attributes:
        inputs: All inputs of the signature, with the signature's dtypes, in its order.
        outputs: Names of the outputs that are wanted.
        deadline: The event loop's time after which nobody waits for it; None: never.
        started: Is told, on the executing thread, that the execution begins, with its rows and
            with how many calls are in it.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]
    outputs: tuple[str, ...]
    deadline: float | None = None
    started: Callable[[int, int], None] | None = None


Execute = Callable[[Servable, EngineCall], Awaitable[Mapping[str, np.ndarray]]]


def predict(
    execute: Execute,
    servable: Servable,
    signature_name: str,
    inputs: Mapping[str, np.ndarray],
    *,
    output_filter: Sequence[str] = (),
    deadline: float | None = None,
) -> Awaitable[Mapping[str, np.ndarray]]:
    """Runs a signature on named tensors; await the named outputs.

    Raises:
        ServingError: unknown signature, wrong inputs or outputs, or a failure of the model.
    """
    signature = find(servable, signature_name)
    call = EngineCall(
        signature.name,
        checked_inputs(signature, inputs),
        _outputs(signature, output_filter),
        deadline,
    )
    return execute(servable, call)


def find(servable: Servable, signature_name: str) -> ModelSignature:
    """Returns a signature, the default one for an empty name.

    Raises:
        ServingError: FAILED_PRECONDITION where the model has no such signature.
    """
    name = signature_name or signatures.DEFAULT
    try:
        signature = servable.signatures[name]
    except KeyError:
        raise ServingError(
            Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
        ) from None
    if servable.checks_method_names and signature.method_name not in _METHODS:
        raise ServingError(
            Code.INTERNAL,
            "Expected prediction signature method_name to be one of "
            f"{{{', '.join(_METHODS)}}}. Was: {signature.method_name}",
        )
    return signature


def checked_inputs(
    signature: ModelSignature, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the inputs in the signature's order.

    Raises:
        ServingError: INVALID_ARGUMENT for names or dtypes that aren't the signature's.
    """
    if inputs.keys() != signature.inputs.keys():
        check_names(signature, inputs.keys())
        inputs = {**signature.defaults, **inputs}
    checked = {}
    for index, (name, tensor) in enumerate(signature.inputs.items()):
        array = inputs[name]
        if array.dtype != tensor.numpy_dtype:
            raise invalid(
                f"Expects arg[{index}] to be {dtype_string(tensor.dtype)} but "
                f"{dtype_string(dtype_number(array.dtype))} is provided"
            )
        checked[name] = array
    return checked


def check_names(signature: ModelSignature, sent: Collection[str]) -> None:
    """Checks the names of a request's inputs; those with a default may be missing.

    Sources: VerifyRequestInputsSize, and GetInputValues in tensorflow/cc/saved_model/util.cc

    Raises:
        ServingError: INVALID_ARGUMENT for others than the signature's.
    """
    wanted, defaults = signature.inputs, signature.defaults
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not defaults):
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({{{_list(sent)}}}) != len({{{_list(wanted)}}}). "
            f"Sent extra: {{{_list(set(sent) - wanted.keys())}}}. "
            f"Missing but required: {{{_list(wanted.keys() - set(sent))}}}."
        )
    for name, tensor in wanted.items():
        if name not in sent and name not in defaults:
            raise invalid(
                f"Signature input alias: {name}(feed name: {tensor.tensor}) not found in request "
                "and no default value provided. Inputs expected to be in the request "
                f"{{{_list(sent)}}}, or default input alias set: {_list(defaults)}"
            )
    used = [name for name in sent if name in wanted]
    if len(used) < len(sent):
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: {_list(used)}, "
            f"request input: {_list(sent)}"
        )


def _list(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def _outputs(signature: ModelSignature, output_filter: Sequence[str]) -> tuple[str, ...]:
    if not output_filter:
        return signature.output_names
    for index, name in enumerate(output_filter):
        if name not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{_list(signature.outputs)}}}."
            )
        if name in output_filter[:index]:
            raise invalid(f"duplicate output tensor alias: {name}")
    return tuple(output_filter)


def dtype_number(dtype: np.dtype) -> int:
    """Returns TensorFlow's number for an array's dtype; objects are strings."""
    return dtypes.DT_STRING if dtype.kind == "O" else dtypes.number(dtype.name)


def dtype_string(number: int) -> str:
    """Returns a dtype's name as TensorFlow's messages have it: such as `float` or `half`."""
    try:
        name = dtypes.name(number)
    except ValueError:
        return f"unknown dtype enum ({number})"
    return {"float32": "float", "float64": "double", "float16": "half"}.get(name, name)
