"""What a request wants of a version: one of the API's four methods, and what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from server.inference import examples, predict
from server.inference.predict import Execute
from server.models.servable import Servable
from wire import serving_pb2 as pb
from wire.tensors import from_array


class Exchange(NamedTuple):
    """A request and its answer as the messages that a PredictionLog holds.

    Attributes:
        kind: PredictionLog's field, such as `predict_log`.
    """

    kind: str
    request: Any
    response: Any


class Task(Protocol):
    """One inference on one version."""

    def run(
        self, execute: Execute, servable: Servable, signature: str, deadline: float | None
    ) -> Awaitable[Any]:
        """Checks and executes it; await the result.

        Raises:
            ServingError: the version has no such signature, the inputs are wrong, or the model
                fails.
        """

    def exchange(self, result: Any) -> Exchange:
        """Returns what is logged of it."""

    @property
    def example_count(self) -> int | None:
        """The number of tf.Examples that it has; None where it has none."""


@dataclass(slots=True)  # a frozen one takes three times as long to make
class Predict:
    """Runs a signature on named tensors; the result is the named outputs."""

    inputs: Mapping[str, np.ndarray]
    output_filter: Sequence[str] = ()
    example_count = None

    def run(
        self, execute: Execute, servable: Servable, signature: str, deadline: float | None
    ) -> Awaitable[Mapping[str, np.ndarray]]:
        """As `Task.run`."""
        return predict.predict(
            execute,
            servable,
            signature,
            self.inputs,
            output_filter=self.output_filter,
            deadline=deadline,
        )

    def exchange(self, result: Mapping[str, np.ndarray]) -> Exchange:
        """As `Task.exchange`."""
        request = pb.PredictRequest(inputs=_protos(self.inputs), output_filter=self.output_filter)
        return Exchange("predict_log", request, pb.PredictResponse(outputs=_protos(result)))


@dataclass(frozen=True, slots=True)
class _OfExamples:
    """Runs a signature on tf.Examples."""

    examples: pb.Input

    @property
    def example_count(self) -> int:
        """As `Task.example_count`."""
        return examples.count(self.examples)


@dataclass(frozen=True, slots=True)
class Classify(_OfExamples):
    """Runs a signature on tf.Examples; the result is a ClassificationResult."""

    def run(
        self, execute: Execute, servable: Servable, signature: str, deadline: float | None
    ) -> Awaitable[pb.ClassificationResult]:
        """As `Task.run`."""
        return examples.classify(execute, servable, signature, self.examples, deadline=deadline)

    def exchange(self, result: pb.ClassificationResult) -> Exchange:
        """As `Task.exchange`."""
        request = pb.ClassificationRequest(input=self.examples)
        return Exchange("classify_log", request, pb.ClassificationResponse(result=result))


@dataclass(frozen=True, slots=True)
class Regress(_OfExamples):
    """Runs a signature on tf.Examples; the result is a RegressionResult."""

    def run(
        self, execute: Execute, servable: Servable, signature: str, deadline: float | None
    ) -> Awaitable[pb.RegressionResult]:
        """As `Task.run`."""
        return examples.regress(execute, servable, signature, self.examples, deadline=deadline)

    def exchange(self, result: pb.RegressionResult) -> Exchange:
        """As `Task.exchange`."""
        request = pb.RegressionRequest(input=self.examples)
        return Exchange("regress_log", request, pb.RegressionResponse(result=result))


@dataclass(frozen=True, slots=True)
class MultiInference:
    """Runs several of the two above on the same tf.Examples."""

    request: pb.MultiInferenceRequest

    @property
    def example_count(self) -> int:
        """As `Task.example_count`."""
        return examples.count(self.request.input)

    def run(
        self, execute: Execute, servable: Servable, signature: str, deadline: float | None
    ) -> Awaitable[pb.MultiInferenceResponse]:
        """As `Task.run`; each task of the request names its own signature."""
        return examples.multi_inference(execute, servable, self.request, deadline=deadline)

    def exchange(self, result: pb.MultiInferenceResponse) -> Exchange:
        """As `Task.exchange`."""
        return Exchange("multi_inference_log", self.request, result)


def _protos(arrays: Mapping[str, np.ndarray]) -> dict[str, pb.TensorProto]:
    return {name: from_array(array) for name, array in arrays.items()}
