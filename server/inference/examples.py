"""Classify, Regress and MultiInference: signatures that take serialized tf.Examples.

Sources of rules and error texts:
tensorflow_serving/servables/tensorflow/{classifier,regressor,multi_inference,util}.cc
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from google.protobuf import text_format

from server.engines import signatures
from server.engines.signatures import ModelSignature
from server.errors import Code, ServingError, invalid
from server.inference.predict import EngineCall, Execute, checked_inputs, dtype_number
from server.models.servable import Servable
from wire import dtypes, methods
from wire import serving_pb2 as pb

_DTYPE = re.compile(r"^( *dtype: )(\d+)$", re.MULTILINE)


async def classify(
    execute: Execute,
    servable: Servable,
    signature_name: str,
    examples: pb.Input,
    *,
    deadline: float | None = None,
) -> pb.ClassificationResult:
    """Runs a signature on serialized examples and returns classes and scores of each.

    Raises:
        ServingError: as for `predict`, or the signature isn't one for classification.
    """
    signature = _find_for_examples(servable, signature_name)
    outputs = _classify_outputs(servable, signature)
    values = await _run_examples(execute, servable, signature, examples, outputs, deadline)
    return _classification_result(values, count(examples))


async def regress(
    execute: Execute,
    servable: Servable,
    signature_name: str,
    examples: pb.Input,
    *,
    deadline: float | None = None,
) -> pb.RegressionResult:
    """Runs a signature on serialized examples and returns one value for each.

    Raises:
        ServingError: as for `predict`, or the signature isn't one for regression.
    """
    signature = _find_for_examples(servable, signature_name)
    outputs = _regress_outputs(servable, signature)
    values = await _run_examples(execute, servable, signature, examples, outputs, deadline)
    return _regression_result(values, count(examples))


async def multi_inference(
    execute: Execute,
    servable: Servable,
    request: pb.MultiInferenceRequest,
    *,
    deadline: float | None = None,
) -> pb.MultiInferenceResponse:
    """Runs several classifications and regressions on the same examples.

    Each signature gets them at its own input, as where the official server feeds them to all.

    Raises:
        ServingError: as for `classify` and `regress`; tasks of different models.
    """
    response = pb.MultiInferenceResponse()
    model = request.tasks[0].model_spec.name
    plan: list[tuple[pb.InferenceTask, ModelSignature, tuple[str, ...]]] = []
    for task in request.tasks:
        if not task.model_spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if task.model_spec.name != model:
            raise invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = task.model_spec.signature_name or signatures.DEFAULT
        if any(name == other.name for _, other, _ in plan):
            raise invalid(f"Duplicate evaluation of signature: {name}")
        if name not in servable.signatures:
            raise invalid(f"Requested signature not found in model graph: {name}")
        signature = servable.signatures[name]
        if task.method_name == methods.CLASSIFY:
            outputs = _classify_outputs(servable, signature)
        elif task.method_name == methods.REGRESS:
            outputs = _regress_outputs(servable, signature)
        else:
            raise ServingError(
                Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}"
            )
        plan.append((task, signature, outputs))
    for task, signature, outputs in plan:
        values = await _run_examples(execute, servable, signature, request.input, outputs, deadline)
        result = response.results.add()
        result.model_spec.name = task.model_spec.name
        result.model_spec.signature_name = signature.name
        result.model_spec.version.value = servable.version
        number = count(request.input)
        if task.method_name == methods.CLASSIFY:
            result.classification_result.CopyFrom(_classification_result(values, number))
        else:
            result.regression_result.CopyFrom(_regression_result(values, number))
    return response


def _find_for_examples(servable: Servable, signature_name: str) -> ModelSignature:
    name = signature_name or signatures.DEFAULT
    if name not in servable.signatures:
        raise invalid(f"No signature was found with the name: {name}")
    return servable.signatures[name]


def _classify_outputs(servable: Servable, signature: ModelSignature) -> tuple[str, ...]:
    _check_method(servable, signature, "classification", methods.CLASSIFY)
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    _check_input(servable, signature, "classification")
    outputs = tuple(name for name in ("classes", "scores") if name in signature.outputs)
    if not outputs:
        raise invalid(
            "Expected classification signature outputs to contain at least one of "
            f'"classes" or "scores". Signature was: {_text(servable, signature)}'
        )
    return outputs


def _regress_outputs(servable: Servable, signature: ModelSignature) -> tuple[str, ...]:
    _check_method(servable, signature, "regression", methods.REGRESS)
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    _check_input(servable, signature, "regression")
    if "outputs" not in signature.outputs:
        raise invalid(f"No regression outputs found in SignatureDef: {_text(servable, signature)}")
    return ("outputs",)


def _check_method(servable: Servable, signature: ModelSignature, kind: str, method: str) -> None:
    if servable.checks_method_names and signature.method_name != method:
        raise invalid(
            f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")


def _check_input(servable: Servable, signature: ModelSignature, kind: str) -> None:
    if "inputs" not in signature.inputs:
        raise invalid(f"No {kind} inputs found in SignatureDef: {_text(servable, signature)}")


def _text(servable: Servable, signature: ModelSignature) -> str:
    """Returns a SignatureDef in protobuf's text format, dtypes by name as in the official one."""
    message = servable.metadata.signature_def[signature.name]
    return _DTYPE.sub(
        lambda match: f"{match[1]}{dtypes.enum_name(int(match[2]))}",
        text_format.MessageToString(message),
    )


def _examples(examples: pb.Input) -> pb.ExampleList | pb.ExampleListWithContext:
    if examples.WhichOneof("kind") == "example_list_with_context":
        return examples.example_list_with_context
    return examples.example_list


def count(examples: pb.Input) -> int:
    """Returns how many examples a request has."""
    return len(_examples(examples).examples)


async def _run_examples(
    execute: Execute,
    servable: Servable,
    signature: ModelSignature,
    examples: pb.Input,
    outputs: tuple[str, ...],
    deadline: float | None,
) -> Mapping[str, np.ndarray]:
    messages = _examples(examples)
    if not messages.examples:
        raise invalid("Input is empty.")
    # Protobuf merges concatenated messages: the context's features stand in every example.
    context = (
        messages.context.SerializeToString()
        if isinstance(messages, pb.ExampleListWithContext)
        else b""
    )
    serialized = np.empty(len(messages.examples), object)
    serialized[:] = [context + example.SerializeToString() for example in messages.examples]
    inputs = checked_inputs(signature, {"inputs": serialized})
    return await execute(servable, EngineCall(signature.name, inputs, outputs, deadline))


def _classification_result(values: Mapping[str, np.ndarray], count: int) -> pb.ClassificationResult:
    classes, scores = values.get("classes"), values.get("scores")
    for name, array, kind, text in (
        ("classes", classes, "O", "DT_STRING"),
        ("scores", scores, "f", "DT_FLOAT"),
    ):
        if array is None:
            continue
        if array.ndim != 2:
            raise invalid(
                f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}"
            )
        if array.dtype.kind != kind or (kind == "f" and array.dtype != np.float32):
            got = dtypes.enum_name(dtype_number(array.dtype))
            raise invalid(f"Expected {name} Tensor of {text}. Got: {got}")
        if len(array) != count:
            raise invalid(f"Expected {name} output batch size of {count}. Got: {len(array)}")
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise invalid(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    result = pb.ClassificationResult()
    for row in range(count):
        entry = result.classifications.add()
        width = (classes if classes is not None else scores).shape[1]  # type: ignore[union-attr]
        for column in range(width):
            found = entry.classes.add()
            if classes is not None:
                found.label = classes[row, column].decode(errors="replace")
            if scores is not None:
                found.score = scores[row, column]
    return result


def _regression_result(values: Mapping[str, np.ndarray], count: int) -> pb.RegressionResult:
    array = values["outputs"]
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            + _shape(array)
        )
    if len(array) != count:
        raise invalid(f"Input batch size did not match output batch size: {count} vs. {len(array)}")
    if array.dtype != np.float32:
        got = dtypes.enum_name(dtype_number(array.dtype))
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {got}")
    result = pb.RegressionResult()
    for value in array.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _shape(array: np.ndarray) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"
