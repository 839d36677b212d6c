"""Load on a subject: the same rows for all of them, compared with JAX's answers beforehand."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from bench import protocols
from bench.cases import Load, Window
from bench.limit import Limit
from bench.machine import CpuWatch
from bench.process import cpu_seconds
from bench.subjects import Subject
from client.endpoint import Endpoint
from client.load.generator import generate
from client.load.plan import LoadPlan
from client.load.result import Result
from client.load.workload import Workload
from client.model_spec import ModelSpec

_DISTINCT = 8
_FIRST_S = 120.0  # some servers compile at their first requests
_TIMEOUT_S = 60.0
_RTOL = _ATOL = 1e-3  # other runtimes sum in another order
_FEWEST_FOR_P999 = 1000


@dataclass(frozen=True)
class Figures:
    """What one measurement gave.

    Attributes:
        answers: In the measured time.
        seconds: That it took.
        is_slow: It gave fewer answers than its window has, by the ceiling.
        p99_9_ms: None of fewer than 1,000 answers; the others are None without an answer.
        server_cpu_us: The server's CPU time an example; None for one that runs elsewhere.
        cpu_us: Server and generator together: what an example takes of the machine, however busy
            that is.
        unsent: Requests of the open loop that never started.
        generator_cpu: The generator's share of one core.
        foreign_cpu: The share of all cores that others used.
    """

    answers: int
    seconds: float
    is_slow: bool
    examples_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    p99_9_ms: float | None
    server_cpu_us: float | None
    cpu_us: float
    errors: Mapping[str, int]
    unsent: int
    generator_cpu: float
    foreign_cpu: float

    def as_json(self) -> dict[str, Any]:
        """Returns the figures as an object."""
        return asdict(self)


class Traffic:
    """Requests to one model, and what the answers should be."""

    def __init__(self, model: str, limit: Limit) -> None:
        self._model = model
        self._limit = limit

    def closed(
        self, subject: Subject, protocol: str, load: Load, window: Window, warmup_s: float
    ) -> Figures:
        """Puts a closed loop on a subject that is awake."""
        plan = replace(
            self._plan(subject, protocol, load.batch_size, load.in_flight),
            answers=window.answers,
            duration=window.ceiling_s,
            warmup=warmup_s,
        )
        return self._figures(subject, protocol, plan)

    def open(
        self, subject: Subject, protocol: str, rate: float, in_flight: int, seconds: float
    ) -> Figures:
        """Offers single examples at a rate, with random gaps, whatever the subject does."""
        plan = replace(
            self._plan(subject, protocol, 1, in_flight),
            rate=rate,
            poisson=True,
            duration=seconds,
            warmup=0.3,
        )
        return self._figures(subject, protocol, plan)

    def check(self, subject: Subject, protocol: str, load: Load) -> float:
        """Lets a subject get warm under a load, and compares all answers with JAX's.

        Returns:
            Seconds until all were there.

        Raises:
            ValueError: there is no answer, or one differs.
        """
        plan = replace(
            self._plan(subject, protocol, load.batch_size, load.in_flight, verify=True),
            answers=max(load.in_flight, 3),
            duration=_FIRST_S,
            warmup=0.0,
        )
        start = time.perf_counter()
        result = generate(plan, self._workload(subject, protocol, plan))
        if result.errors or not result.completed:
            said = ", ".join(f"{n} x {code}" for code, n in result.errors.items())
            raise ValueError(
                f"{subject.name} by {protocols.TITLES[protocol]}, batch {load.batch_size}, "
                f"{load.in_flight} in flight: {said or 'no answer'}"
            )
        return time.perf_counter() - start

    def _figures(self, subject: Subject, protocol: str, plan: LoadPlan) -> Figures:
        workload = self._workload(subject, protocol, plan)
        watch, server, own = CpuWatch(), cpu_seconds(subject.pid), time.process_time()
        result = generate(plan, workload)
        server = cpu_seconds(subject.pid) - server
        own = time.process_time() - own
        # All that was answered while the clocks ran, warm-up included, took the CPU time.
        examples = max(result.answered * plan.batch_size, 1)
        return Figures(
            answers=result.completed,
            seconds=result.seconds,
            is_slow=plan.answers is not None and result.completed < plan.answers,
            examples_per_s=result.examples_per_second,
            p50_ms=result.percentile_ms(50),
            p99_ms=result.percentile_ms(99),
            p99_9_ms=_p999(result),
            server_cpu_us=None if subject.pid is None else server / examples * 1e6,
            cpu_us=(server + own) / examples * 1e6,
            errors=result.errors,
            unsent=result.unsent,
            generator_cpu=result.generator_cpu,
            foreign_cpu=watch.used().foreign,
        )

    def _plan(
        self,
        subject: Subject,
        protocol: str,
        batch_size: int,
        in_flight: int,
        verify: bool = False,
    ) -> LoadPlan:
        kind = protocols.kind(protocol)
        return LoadPlan(
            Endpoint(subject.host, subject.ports[kind], protocols.api(protocol)),
            ModelSpec(self._model),
            concurrency=in_flight,
            batch_size=batch_size,
            connections=1 if kind == "grpc" else None,  # as one channel of gRPC's clients
            timeout=_TIMEOUT_S,
            verify=verify,
        )

    def _workload(self, subject: Subject, protocol: str, plan: LoadPlan) -> Workload:
        size, limit = plan.batch_size, self._limit
        total = len(limit.rows)
        indices = [(np.arange(size) + number * size) % total for number in range(_DISTINCT)]
        batches = [{limit.input_name: limit.rows[chosen]} for chosen in indices]
        requests, path = protocols.encode(
            protocol, plan.endpoint, self._model, batches, subject.raw_path
        )

        def agrees(index: int, body: bytes) -> bool:
            expected = limit.expected[indices[index]]
            try:
                found = protocols.decode(protocol, body, expected)
            except (ValueError, KeyError, TypeError, StopIteration, DecodeError):
                return False
            return found.shape == expected.shape and np.allclose(found, expected, _RTOL, _ATOL)

        return Workload(0, requests, agrees if plan.verify else None, path)


def _p999(result: Result) -> float | None:
    found = result.percentile_ms(99.9) if len(result.latencies) >= _FEWEST_FOR_P999 else None
    return None if found is None or math.isnan(found) else found
