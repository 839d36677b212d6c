"""OpenTelemetry: a span for each sampled request and one for each of its phases.

Requests continue the trace that they bring by W3C's `traceparent`; of the others, a share begins
one. What is sampled is decided here, before anything of the SDK is asked: a request that isn't
sampled costs a look at one header. The SDK sends spans by OTLP, on a thread of its own; without
--tracing it isn't imported.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
import os
import random
import re
import threading
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from server.errors import Code, ServingError, invalid

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may append fields.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_ROOTS = 0.01  # the share of requests without a trace that begin one, unless told otherwise
_EXPORTERS = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
}
_LONGEST = 256  # characters of what clients write into attributes
_FLUSH_S = 3.0
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/: what is the server's fault.
_FAULTS = frozenset(
    {Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE}
)
Metadata = Iterable[tuple[str, str | bytes]]
_current: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("trace", default=None)


class Sampling(NamedTuple):
    """What is sampled.

    Attributes:
        roots: The share of requests without a trace of their own.
        follows_parent: Requests with one are sampled where their caller has sampled it; else they
            are drawn by the trace's number, so that all who draw by it draw alike.
    """

    roots: float = _ROOTS
    follows_parent: bool = True

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Sampling:
        """Reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.

        https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/

        Raises:
            ServingError: they name a sampler or a share that there isn't.
        """
        name = environment.get("OTEL_TRACES_SAMPLER") or ""
        if not name:
            return cls()
        kind = name.removeprefix("parentbased_")
        text = environment.get("OTEL_TRACES_SAMPLER_ARG") or "1"
        try:
            share = {"always_on": 1.0, "always_off": 0.0, "traceidratio": float(text)}[kind]
        except KeyError:
            raise invalid(
                f"OTEL_TRACES_SAMPLER={name}: there are always_on, always_off and traceidratio, "
                "each also with parentbased_ before it"
            ) from None
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise invalid(f"OTEL_TRACES_SAMPLER_ARG={text} is no share between 0 and 1")
        return cls(share, follows_parent=kind != name)

    def takes(self, traceparent: str) -> bool:
        """Tells whether a request with this header is sampled; an empty one for none."""
        parent = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if parent is None:
            return self.roots > 0 and random.random() < self.roots
        if self.follows_parent:
            return bool(int(parent[3], 16) & 1)
        return int(parent[1][16:], 16) < self.roots * 2**64


def trace_id(traceparent: str) -> str | None:
    """Returns the number of the request's trace, for a log; None where it has none.

    Args:
        traceparent: The request's header: somebody else may have sampled it.
    """
    if (trace := _current.get()) is not None:
        return trace.id
    parent = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return parent[1] if parent is not None else None


def traceparent(metadata: Metadata) -> str:
    """Returns the header of that name in gRPC's metadata; empty where there is none."""
    for name, value in metadata:
        if name == "traceparent" and isinstance(value, str):
            return value
    return ""


def current() -> Trace | None:
    """Returns the trace of the request that this task answers; None where it isn't sampled."""
    return _current.get()


def _host(peer: str) -> str:
    """Returns the address in `1.2.3.4:5`, or in gRPC's `ipv4:1.2.3.4:5`."""
    return peer.removeprefix("ipv4:").removeprefix("ipv6:").rpartition(":")[0].strip("[]")


class Tracer:
    """Begins the traces of a process."""

    def __init__(self, provider: TracerProvider, sampling: Sampling) -> None:
        """Takes the SDK's provider, whose own sampler must take all."""
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._sampling = sampling
        self._api = trace
        self._spans = provider.get_tracer("jax-serving-stack")
        self._propagator = TraceContextTextMapPropagator()

    def http(self, headers: Mapping[str, str], method: str, path: str, peer: str) -> Trace | None:
        """Begins the trace of an HTTP request; None where it isn't sampled."""
        if not self._sampling.takes(headers.get("traceparent", "")):
            return None
        # https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
        return self._begin(
            method,
            headers,
            {
                "http.request.method": method,
                "url.path": path[:_LONGEST],
                "client.address": _host(peer),
            },
        )

    def grpc(self, metadata: Metadata, path: str, peer: str) -> Trace | None:
        """Begins the trace of a gRPC call; None where it isn't sampled."""
        if not self._sampling.takes(traceparent(metadata)):
            return None
        # https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/
        return self._begin(
            path[1:],
            {name: value for name, value in metadata if isinstance(value, str)},
            {"rpc.system.name": "grpc", "rpc.method": path[1:], "client.address": _host(peer)},
        )

    def close(self) -> None:
        """Sends what has been recorded, for as long as that may take at the end of a process."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_FLUSH_S)

    def _begin(self, name: str, headers: Mapping[str, str], attributes: dict[str, Any]) -> Trace:
        from opentelemetry.context import Context

        parent = self._propagator.extract(headers, Context()) if headers else Context()
        kind = self._api.SpanKind.SERVER
        span = self._spans.start_span(name, parent, kind=kind, attributes=attributes)
        return Trace(self._api, self._spans, span)


class Trace:
    """One sampled request: enter it as a context while the request is answered.

    Attributes:
        id: The trace's number, 32 hexadecimal digits.
    """

    def __init__(self, api: Any, spans: Any, span: Any) -> None:
        self._api, self._spans, self._span = api, spans, span
        self._context = api.set_span_in_context(span)
        self._token: contextvars.Token[Trace | None] | None = None
        self.id = format(span.get_span_context().trace_id, "032x")

    def __enter__(self) -> Trace:
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        if isinstance(error, asyncio.CancelledError):
            self.describe({"error.type": "cancelled"})
        self._span.end()

    def route(self, method: str, route: str) -> None:
        """Names the span after an HTTP route, such as `/v1/models/{model}:predict`."""
        self._span.update_name(f"{method} {route}")
        self._span.set_attribute("http.route", route)

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """Adds attributes to the request's span."""
        self._span.set_attributes(attributes)

    def http_status(self, status: int) -> None:
        """Notes the status of an HTTP answer."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._fails(str(status))

    def grpc_status(self, code: Code) -> None:
        """Notes the status of a gRPC call."""
        self._span.set_attribute("rpc.response.status_code", code.name)
        if code in _FAULTS:
            self._fails(code.name)

    def phase(
        self,
        name: str,
        start: int,
        end: int | None = None,
        *,
        error: BaseException | None = None,
        **attributes: Any,
    ) -> None:
        """Adds a span below the request's, from one time to another, in ns; None: until now."""
        span = self._spans.start_span(name, self._context, start_time=start, attributes=attributes)
        if error is not None:
            cause = error.code.name if isinstance(error, ServingError) else type(error).__name__
            span.set_attribute("error.type", cause)
            span.set_status(self._api.StatusCode.ERROR)
        span.end(time.time_ns() if end is None else end)

    def _fails(self, cause: str) -> None:
        self._span.set_attribute("error.type", cause)
        self._span.set_status(self._api.StatusCode.ERROR)


def start(environment: Mapping[str, str] = os.environ) -> Tracer:
    """Starts the SDK as its environment variables say: endpoint, headers, batches, resource.

    Raises:
        ServingError: the packages are missing, or a variable names what there isn't.
    """
    taken = Sampling.read(environment)
    exporter = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter != "otlp":
        raise invalid(f"OTEL_TRACES_EXPORTER={exporter}: --tracing exports by otlp alone")
    protocol = (
        environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    if protocol not in _EXPORTERS:
        raise invalid(f"OTLP protocol {protocol}: there are {' and '.join(_EXPORTERS)}")
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider, sampling
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporting = importlib.import_module(_EXPORTERS[protocol])
    except ModuleNotFoundError as error:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"--tracing needs {error.name}: pip install 'jax-serving-stack[tracing]'",
        ) from None
    named = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = TracerProvider(
        resource=Resource.create({} if named else {"service.name": "model-server"}),
        sampler=sampling.ALWAYS_ON,
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporting.OTLPSpanExporter()))
    logger.info("tracing by OTLP (%s): %g of requests without a trace", protocol, taken.roots)
    return Tracer(provider, taken)
