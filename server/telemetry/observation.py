"""What is kept of each request: metrics, the access log, recent latencies."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType

from server.errors import Code, ServingError
from server.models.repository import Repository
from server.telemetry.access_log import AccessLog
from server.telemetry.metrics import (
    Count,
    Counter,
    Distribution,
    Gauge,
    Histogram,
    Samples,
    exponential,
)

_Kept = tuple[Count, Distribution, Count, Distribution]

_RECENT = 1000  # latencies for the status page's plot
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SECONDS = [0.0001 * 2**n for n in range(18)]  # 0.1 ms to 13 s


class Observation:
    """One inference request, watched as a context from its arrival to its end.

    Attributes:
        face: `REST` or `GRPC`.
        method: `Predict`, `Classify`, `Regress` or `MultiInference`.
        model: As asked for.
        version: The version that answers; 0 until one is found.
        signature: As asked for, or the default.
        code: How it ended.
        seconds: From its arrival to its end.
    """

    __slots__ = (
        "_observer", "_start", "code", "face", "method", "model", "seconds", "signature", "version",
    )  # fmt: skip

    def __init__(self, observer: Observer, face: str, method: str, model: str) -> None:
        self._observer = observer
        self._start = time.perf_counter()
        self.face, self.method, self.model = face, method, model
        self.version = 0
        self.signature = ""
        self.code = Code.OK
        self.seconds = 0.0

    def __enter__(self) -> Observation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, ServingError):
            self.code = error.code
        elif isinstance(error, asyncio.CancelledError):
            self.code = Code.CANCELLED
        elif error is not None:
            self.code = Code.INTERNAL
        self.seconds = time.perf_counter() - self._start
        self._observer.record(self)


class Observer:
    """Counts requests under official names and under ours, and writes the access log."""

    def __init__(self, repository: Repository, access_log: AccessLog | None = None) -> None:
        self._repository = repository
        self._access_log = access_log
        self.recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)
        self._kinds: dict[tuple[object, ...], _Kept] = {}
        micros = exponential(10, 1.8, 33)
        self._count = Counter(
            ":tensorflow:serving:request_count",
            "The total number of requests.",
            ("model_name", "status"),
        )
        self._latency = Histogram(
            ":tensorflow:serving:request_latency",
            "Distribution of wall time (in microseconds) for Tensorflow Serving request.",
            ("model_name", "API", "entrypoint"),
            micros,
        )
        self._by_signature = Counter(
            "model_requests_total",
            "Requests by model, version, signature, face, method and status.",
            ("model", "version", "signature", "face", "method", "status"),
        )
        self._latency_by_signature = Histogram(
            "model_request_seconds",
            "Time from the whole request to the answer.",
            ("model", "version", "signature", "face", "method"),
            _SECONDS,
        )
        self._examples = Histogram(
            ":tensorflow:serving:request_example_counts",
            "The number of tensorflow.Examples per request.",
            ("model",),
            exponential(1, 2, 15),
        )
        self._example_total = Counter(
            ":tensorflow:serving:request_example_count_total",
            "The total number of tensorflow.Examples.",
            ("model",),
        )
        self.metrics: list[Counter | Gauge | Histogram] = [
            self._count,
            self._latency,
            self._examples,
            self._example_total,
            self._by_signature,
            self._latency_by_signature,
            Gauge("model_version_state", "1 for a version's state.",
                  ("model", "version", "state"), self._states),
            Gauge("process_resident_memory_bytes", "Resident memory.", (), _memory),
            Gauge("process_cpu_seconds_total", "User and system time.", (), _cpu),
            Gauge("process_open_fds", "Open file descriptors.", (), _descriptors),
        ]  # fmt: skip

    def watch(self, face: str, method: str, model: str) -> Observation:
        """Returns the observation of a request that has just arrived; enter it as a context."""
        return Observation(self, face, method, model)

    @property
    def logs(self) -> bool:
        """Whether there is an access log."""
        return self._access_log is not None

    def record(self, seen: Observation) -> None:
        """Keeps one request on a model."""
        kind = (seen.model, seen.version, seen.signature, seen.face, seen.method, seen.code)
        count, latency, by_signature, latency_by_signature = self._kinds.get(kind) or self._kind(
            seen, kind
        )
        count.add()
        latency.add(seen.seconds * 1e6)
        by_signature.add()
        latency_by_signature.add(seen.seconds)
        self.recent.append((time.time(), seen.seconds))

    def _kind(self, seen: Observation, kind: tuple[object, ...]) -> _Kept:
        """Returns where a kind of request is counted; names that clients make up are no labels."""
        model = self._repository.models.get(seen.model)
        name = seen.model if model is not None else ""
        servable = model.available.get(seen.version) if model is not None else None
        signature = seen.signature if servable and seen.signature in servable.signatures else ""
        version = str(seen.version or "")
        code = seen.code.name
        labels = (name, version, signature, seen.face, seen.method)
        kept = (
            self._count.of(name, code),
            self._latency.of(name, seen.method, seen.face),
            self._by_signature.of(*labels, code),
            self._latency_by_signature.of(*labels),
        )
        if signature:
            self._kinds[kind] = kept
        return kept

    def record_examples(self, model: str, count: int) -> None:
        """Keeps how many examples a Classify, Regress or MultiInference had."""
        self._examples.of(model).add(count)
        self._example_total.of(model).add(count)

    def log(self, **entry: object) -> None:
        """Writes a line of JSON to the access log, where there is one."""
        if self._access_log is not None:
            self._access_log.write(entry)

    def lines(self) -> list[list[str]]:
        """Renders each metric in Prometheus's text format."""
        return [list(metric.lines()) for metric in self.metrics]

    def _states(self) -> Samples:
        for name, model in self._repository.models.items():
            for version in model.versions.values():
                yield (name, str(version.number), version.state.name), 1


def _memory() -> Samples:
    try:
        with open("/proc/self/statm") as file:
            yield (), int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return


def _cpu() -> Samples:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield (), usage.ru_utime + usage.ru_stime


def _descriptors() -> Iterable[tuple[tuple[str, ...], float]]:
    try:
        yield (), len(os.listdir("/proc/self/fd"))
    except OSError:
        return
