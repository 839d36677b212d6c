"""Load on a subject: the same requests for all of them, made from the version alone."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artifact import golden
from bench.machine import CpuWatch, cpu_seconds
from bench.subjects import Subject
from client import grpc as client_grpc
from client import rest
from client.codec import HttpBody
from client.endpoint import Endpoint
from client.load import http1, http2
from client.load.generator import generate
from client.load.plan import LoadPlan
from client.load.workload import Workload
from client.model_spec import ModelSpec
from wire import serving_pb2 as pb
from wire import tensors
from wire.services import PREDICTION_METHODS

_SIGNATURE = "serving_default"
_DISTINCT = 8
_TRY_S = (1.0, 2.0, 4.0, 8.0, 16.0)  # some servers compile at their first requests
_GRPC_CONNECTIONS = 1  # as one channel of gRPC's clients


@dataclass(frozen=True)
class Cell:
    """One kind of load.

    Attributes:
        api: `"grpc"` or `"rest"`.
        batch_size: Examples a request.
        concurrency: Requests in flight.
    """

    api: str
    batch_size: int
    concurrency: int


@dataclass(frozen=True)
class Figures:
    """What one measurement gave.

    Attributes:
        cpu_us: CPU time an example, server and generator together: what it takes of the machine,
            however busy that is.
        generator_cpu: The generator's share of one core.
        foreign_cpu: The share of all cores that others used.
    """

    examples_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int
    generator_cpu: float
    foreign_cpu: float


class Traffic:
    """Requests to one version, and what the answers should be."""

    def __init__(self, version_dir: Path) -> None:
        """Takes a version with golden examples."""
        self._model = version_dir.parent.name
        self._case = max(
            (case for (name, _), case in golden.read(version_dir).items() if name == _SIGNATURE),
            key=lambda case: len(next(iter(case.inputs.values()))),
        )
        ((self._input, self._rows),) = self._case.inputs.items()
        self._expected = next(iter(self._case.outputs.values()))

    def measure(self, subject: Subject, cell: Cell, seconds: float, warmup: float) -> Figures:
        """Puts a cell's load on a subject that is awake."""
        plan = self._plan(subject, cell, seconds, warmup)
        workload = self._workload(plan)
        watch, before = CpuWatch(), _cpu(subject)
        result = generate(plan, workload)
        used = (_cpu(subject) - before) * seconds / (seconds + warmup)
        return Figures(
            result.examples_per_second,
            result.percentile_ms(50) or float("nan"),
            result.percentile_ms(99) or float("nan"),
            used / max(result.completed * plan.batch_size, 1) * 1e6,
            sum(result.errors.values()),
            result.generator_cpu,
            watch.used().foreign,
        )

    def check(self, subject: Subject, cell: Cell) -> None:
        """Lets a subject get warm under a load, and compares all answers with JAX's.

        Raises:
            ValueError: there is no answer, or one differs.
        """
        for seconds in _TRY_S:
            plan = self._plan(subject, cell, seconds, 0.0, verify=True)
            result = generate(plan, self._workload(plan))
            if result.errors:
                break
            if result.ok:
                return
        raise ValueError(f"{subject.name} under {cell} answers wrongly: {result.errors or 'never'}")

    def _plan(
        self, subject: Subject, cell: Cell, seconds: float, warmup: float, verify: bool = False
    ) -> LoadPlan:
        return LoadPlan(
            Endpoint(subject.host, subject.ports[cell.api], cell.api),  # type: ignore[arg-type]
            ModelSpec(self._model),
            concurrency=cell.concurrency,
            batch_size=cell.batch_size,
            duration=seconds,
            warmup=warmup,
            connections=_GRPC_CONNECTIONS if cell.api == "grpc" else None,
            timeout=60.0,
            verify=verify,
        )

    def _indices(self, number: int, size: int) -> np.ndarray:
        return (np.arange(size) + number * size) % len(self._rows)

    def _workload(self, plan: LoadPlan) -> Workload:
        size = plan.batch_size
        batches = [self._rows[self._indices(number, size)] for number in range(_DISTINCT)]
        if plan.endpoint.api == "grpc":
            path = PREDICTION_METHODS["Predict"].path
            requests = [
                http2.message(
                    client_grpc.predict_request(
                        plan.spec, {self._input: batch}, _SIGNATURE
                    ).SerializeToString()
                )
                for batch in batches
            ]
        else:
            path = rest.path(plan.spec, ":predict")
            bodies = [HttpBody(_json(batch), rest.JSON) for batch in batches]
            requests = [http1.request(plan.endpoint, path, body) for body in bodies]

        def agrees(index: int, body: bytes) -> bool:
            expected = self._expected[self._indices(index, size)]
            found = _answer(plan.endpoint.api, body)
            return found.shape == expected.shape and np.allclose(found, expected, 1e-4, 1e-4)

        return Workload(0, requests, agrees if plan.verify else None, path)


def _cpu(subject: Subject) -> float:
    return time.process_time() + (cpu_seconds(subject.pid) if subject.pid is not None else 0.0)


def _json(batch: np.ndarray) -> bytes:
    # The shortest digits that give the same float32, as a client that knows the dtype sends.
    text = json.dumps(batch.tolist(), separators=(",", ":"))
    if batch.dtype == np.float32:
        shortest = iter(map(str, batch.ravel()))
        text = json.dumps(np.zeros(batch.shape, np.int8).tolist(), separators=(",", ":"))
        text = "".join(next(shortest) if char == "0" else char for char in text)
    return b'{"instances":' + text.encode() + b"}"


def _answer(api: str, body: bytes) -> np.ndarray:
    if api == "rest":
        return np.asarray(json.loads(body)["predictions"])
    return tensors.to_array(next(iter(pb.PredictResponse.FromString(body).outputs.values())))
