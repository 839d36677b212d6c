"""Sends samples to a model, times the answers and compares them with JAX's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from client import samples as sources
from client.client import Client
from client.errors import Unavailable
from client.model_spec import ModelSpec
from client.results import Prediction
from client.samples import Samples
from client.verify import Comparison

_SWAPS = 5  # how often a run starts anew because another version took over in the middle


@dataclass(frozen=True)
class CheckPlan:
    """What to send.

    Attributes:
        count: Samples to send; they repeat where there are fewer.
        batch_size: Samples a request; divides `count`.
    """

    spec: ModelSpec
    signature: str
    count: int
    batch_size: int


# The samples for the version that is served.
Source = Callable[[int], Samples]


@dataclass
class Outcome:
    """What came back.

    Attributes:
        version: The version that gave all answers.
        comparison: None where nothing was compared.
        accuracy: Share of right classes, 0 to 1; None where the outputs aren't class scores.
        classes: Predicted class a sample, where the outputs are class scores.
        labels: Right class a sample, where known.
        seconds: Latency a request.
        images: The first input a sample, where it is the only one.
    """

    version: int
    origin: str
    images: np.ndarray | None
    labels: np.ndarray | None
    comparison: Comparison | None
    seconds: list[float] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)

    @property
    def accuracy(self) -> float | None:
        """Share of the predicted classes that are right."""
        if self.labels is None or not self.classes:
            return None
        return float(np.mean(np.array(self.classes) == self.labels))


class _VersionChanged(Exception):
    """Another version took over in the middle of a run."""


def check(
    client: Client, plan: CheckPlan, source: Source, advance: Callable[[int], None]
) -> Outcome:
    """Runs a plan against one version, whichever is served.

    Args:
        client: Connected to the server.
        plan: How much to send, and to whom.
        source: What to send, and JAX's answers to it.
        advance: Called with the number of samples after each answer.

    Raises:
        SampleError: the source has nothing for the version that is served.
        ServingError: a refusal. Unavailable: nobody answers.
    """
    chosen = plan.spec
    for _ in range(_SWAPS):
        version = client.served_version(chosen.model, version=chosen.version, label=chosen.label)
        try:
            return _check_version(client, plan, version, source(version), advance)
        except _VersionChanged:
            continue
    raise Unavailable(f"{chosen}: another version took over in the middle of {_SWAPS} runs")


def _check_version(
    client: Client,
    plan: CheckPlan,
    version: int,
    samples: Samples,
    advance: Callable[[int], None],
) -> Outcome:
    order = np.arange(plan.count) % len(samples)
    outcome = Outcome(
        version,
        samples.origin,
        next(iter(samples.inputs.values()))[order] if len(samples.inputs) == 1 else None,
        samples.labels[order] if samples.labels is not None else None,
        Comparison(samples.tolerance, samples.tolerances) if samples.reference else None,
    )
    is_named = None
    for start in range(0, plan.count, plan.batch_size):
        indices = order[start : start + plan.batch_size]
        inputs = {name: array[indices] for name, array in samples.inputs.items()}
        prediction, seconds = _predict(client, plan, inputs)
        is_named = prediction.version is not None
        if is_named and prediction.version != version:
            raise _VersionChanged
        outcome.seconds.append(seconds)
        if samples.reference and outcome.comparison:
            where = f"{plan.spec.model}/{version}, samples {start} to {start + len(indices)}"
            expected = samples.reference(inputs, indices)
            outcome.comparison.add(prediction.outputs, expected, where)
        scores = _scores(samples, prediction)
        if scores is not None:
            outcome.classes += scores.argmax(axis=1).tolist()
        advance(len(indices))
    if not is_named:  # by a server whose REST API tells no versions at all
        chosen = plan.spec
        served = client.served_version(chosen.model, version=chosen.version, label=chosen.label)
        if served != version:
            raise _VersionChanged
    return outcome


def _predict(
    client: Client, plan: CheckPlan, inputs: dict[str, np.ndarray]
) -> tuple[Prediction, float]:
    started = perf_counter()
    prediction = client.predict(
        plan.spec.model,
        inputs.get("", inputs),
        version=plan.spec.version,
        label=plan.spec.label,
        signature=plan.signature,
    )
    return prediction, perf_counter() - started


def _scores(samples: Samples, prediction: Prediction) -> np.ndarray | None:
    if not samples.is_classifier or samples.labels is None:
        return None
    tables = [o for o in prediction.outputs.values() if o.ndim == 2 and o.dtype.kind == "f"]
    if samples.reference is None:
        tables = [table for table in tables if table.shape[1] == sources.MNIST_CLASSES]
    return next((t for t in tables if t.shape[1] > samples.labels.max()), None)
