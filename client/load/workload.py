"""The requests of a run, as bytes made beforehand, and what their answers should be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError, Message

from client import samples as sources
from client.client import Client
from client.codec import HttpBody
from client.load.plan import LoadPlan
from client.results import Prediction
from client.samples import Samples
from client.signature import ServedSignature
from client.verify import Comparison
from wire import dtypes

_V2 = ("v2", "v2-json")
_DISTINCT = 16  # so that no cache of one request flatters a server


@dataclass(frozen=True)
class Workload:
    """Prepared requests.

    Attributes:
        version: The version that was served when they were made.
        requests: What goes onto the connection, one after the other, round and round.
        agrees: Whether an answer's bytes are right for the request of that index; None where
            answers aren't looked at.
        path: gRPC's method or the REST path.
    """

    version: int
    requests: list[bytes]
    agrees: Callable[[int, bytes], bool] | None
    path: str


def prepare(client: Client, plan: LoadPlan, model_dir: Path | None) -> Workload:
    """Makes a run's requests and sends each once, by the ordinary client.

    Args:
        client: Connected to the plan's endpoint.
        plan: The load.
        model_dir: Published models, whose golden examples are sent (and compared with, where the
            plan says verify); without it bundled or random inputs that fit the signature are.

    Raises:
        SampleError: the version isn't in `model_dir`.
        ServingError: the server refuses one of the requests.
        ValueError: the signature is unknown.
    """
    chosen = plan.spec
    version = client.served_version(chosen.model, version=chosen.version, label=chosen.label)
    signatures = client.metadata(chosen.model, version=chosen.version, label=chosen.label)
    if plan.signature not in signatures:
        known = ", ".join(sorted(signatures))
        raise ValueError(f"{chosen} has no signature {plan.signature}; there are {known}")
    signature = signatures[plan.signature]
    if model_dir is not None:
        directory = sources.directory(model_dir, chosen.model, version)
        samples = sources.published(directory, plan.signature, live=False)
    else:
        samples = fitting(signature, plan.batch_size)
    batches, expected = [], []
    for number in range(_DISTINCT):
        indices = (np.arange(plan.batch_size) + number * plan.batch_size) % len(samples)
        inputs = {name: array[indices] for name, array in samples.inputs.items()}
        named = signature.named_inputs(inputs.get("", inputs))
        answer = _ask(client, plan, named)
        batches.append(named)
        expected.append(samples.reference(named, indices) if samples.reference else answer.outputs)
    requests, path = _encode(plan, signature, batches)
    agrees = _checker(plan, signature, samples, expected) if plan.verify else None
    return Workload(version, requests, agrees, path)


def fitting(signature: ServedSignature, batch_size: int) -> Samples:
    """Returns inputs that a signature takes: bundled images where they fit, else random ones."""
    images = sources.bundled()
    shapes = [spec.shape for spec in signature.inputs.values()]
    if len(shapes) == 1 and shapes[0] is not None and shapes[0][1:] == (28, 28, 1):
        return images
    random = np.random.default_rng(0)
    inputs = {}
    for name, spec in signature.inputs.items():
        rest = [max(size, 1) for size in (spec.shape or (-1,))[1:]]
        numbers = random.random([_DISTINCT * batch_size, *rest])
        if spec.dtype == "string":
            inputs[name] = np.full(numbers.shape, b"text", object)
        else:
            inputs[name] = numbers.astype(dtypes.numpy_dtype(spec.dtype))
    return Samples(inputs, None, False, None, "nothing to compare with")


def _ask(client: Client, plan: LoadPlan, inputs: Mapping[str, np.ndarray]) -> Prediction:
    chosen = plan.spec
    return client.predict(
        chosen.model,
        inputs,
        version=chosen.version,
        label=chosen.label,
        signature=plan.signature,
    )


def _encode(
    plan: LoadPlan, signature: ServedSignature, batches: list[dict[str, np.ndarray]]
) -> tuple[list[bytes], str]:
    if plan.endpoint.kind.carrier == "grpc":
        from client.load.http2 import message

        messages, path = _messages(plan, batches)
        return [message(m.SerializeToString()) for m in messages], path
    from client.load.http1 import request

    bodies, path = _bodies(plan, signature, batches)
    return [request(plan.endpoint, path, body) for body in bodies], path


def _messages(
    plan: LoadPlan, batches: list[dict[str, np.ndarray]]
) -> tuple[Sequence[Message], str]:
    if plan.endpoint.api == "v2-grpc":
        from client.v2_grpc import infer_request
        from wire.services import INFERENCE_METHODS

        path = INFERENCE_METHODS["ModelInfer"].path
        return [infer_request(plan.spec, batch, plan.signature) for batch in batches], path
    from client.grpc import predict_request
    from wire.services import PREDICTION_METHODS

    path = PREDICTION_METHODS["Predict"].path
    return [predict_request(plan.spec, batch, plan.signature) for batch in batches], path


def _bodies(
    plan: LoadPlan, signature: ServedSignature, batches: list[dict[str, np.ndarray]]
) -> tuple[list[HttpBody], str]:
    if plan.endpoint.api in _V2:
        from client import v2_rest

        path, is_binary = v2_rest.path(plan.spec, "/infer"), plan.endpoint.api == "v2"
        return [
            v2_rest.infer_body(batch, plan.signature, is_binary=is_binary) for batch in batches
        ], path
    from client import rest

    path = rest.path(plan.spec, ":predict")
    return [
        HttpBody(rest.predict_body(batch, plan.signature, signature), rest.JSON)
        for batch in batches
    ], path


def _checker(
    plan: LoadPlan,
    signature: ServedSignature,
    samples: Samples,
    expected: list[Mapping[str, np.ndarray]],
) -> Callable[[int, bytes], bool]:
    def agrees(index: int, body: bytes) -> bool:
        comparison = Comparison(samples.tolerance, samples.tolerances)
        try:
            outputs = _decode(plan, signature, body)
        except (ValueError, KeyError, TypeError):
            return False
        comparison.add(outputs, expected[index], "answer")
        return comparison.ok

    return agrees


def _decode(plan: LoadPlan, signature: ServedSignature, body: bytes) -> dict[str, np.ndarray]:
    if plan.endpoint.kind.carrier == "grpc":
        try:
            return _read_message(plan, body)
        except DecodeError as error:
            raise ValueError(str(error)) from None
    if plan.endpoint.api in _V2:
        from client import v2_rest

        return v2_rest.read_outputs(body)
    from client import rest

    return rest.read_outputs(json.loads(body), signature)


def _read_message(plan: LoadPlan, body: bytes) -> dict[str, np.ndarray]:
    if plan.endpoint.api == "v2-grpc":
        from client.v2_grpc import read_outputs
        from wire import open_inference_pb2 as v2

        return read_outputs(v2.ModelInferResponse.FromString(body))
    from wire import serving_pb2 as pb
    from wire import tensors

    response = pb.PredictResponse.FromString(body)
    return {name: tensors.to_array(value) for name, value in response.outputs.items()}
