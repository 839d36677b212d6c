"""OpenTelemetry: a span for each sampled request and one for each of its phases.

Requests continue the trace that they bring by W3C's `traceparent`; of the others, a share begins
one. What is sampled is decided here, before anything of the SDK is asked: a request that isn't
sampled costs a look at one header. `otlp.start` brings the SDK, which is not imported without
--tracing.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from server.errors import Code, ServingError
from server.telemetry.sampling import Sampling, number

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor

_LONGEST = 256  # characters of what clients write into attributes
_FLUSH_S = 3.0
# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/: what is the server's fault.
_FAULTS = frozenset(
    {Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE}
)
Metadata = Iterable[tuple[str, str | bytes]]
_current: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("trace", default=None)


def trace_id(traceparent: str) -> str | None:
    """Returns the number of the request's trace, for a log; None where it has none.

    Args:
        traceparent: The request's header: somebody else may have sampled it.
    """
    trace = _current.get()
    return trace.id if trace is not None else number(traceparent)


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
    """Begins the traces of a process.

    A trace's spans are made when the request is answered, each in one piece: to start and end them
    through the SDK's tracer takes five times as long.
    """

    def __init__(self, processor: SpanProcessor, resource: Resource, sampling: Sampling) -> None:
        """Takes what the spans are given to, what is said of this process, and the sampling."""
        from opentelemetry import trace
        from opentelemetry.context import Context
        from opentelemetry.sdk.trace import ReadableSpan, id_generator
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace.propagation import tracecontext

        self._processor = processor
        self._resource = resource
        self._sampling = sampling
        self._api = trace
        self._finished = ReadableSpan
        self._ids = id_generator.RandomIdGenerator()
        self._scope = InstrumentationScope("jax-serving-stack")
        self._propagator = tracecontext.TraceContextTextMapPropagator()
        self._nothing = Context()

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
        sending = threading.Thread(target=self._processor.shutdown, daemon=True)
        sending.start()
        sending.join(_FLUSH_S)

    def finish(self, top: Trace) -> None:
        """Makes a trace's spans, and gives them to the processor."""
        api = self._api
        for phase in top.phases:
            self._finish(phase, self._context(top.context), top.context, api.SpanKind.INTERNAL)
        self._finish(top.span, top.context, top.parent, api.SpanKind.SERVER)

    def _begin(self, name: str, headers: Mapping[str, str], attributes: dict[str, Any]) -> Trace:
        parent = None
        if headers:
            found = self._propagator.extract(headers, self._nothing)
            parent = self._api.get_current_span(found).get_span_context()
        if parent is None or not parent.is_valid:
            parent = None
        return Trace(self, self._context(parent), parent, Span(name, attributes))

    def _context(self, parent: Any) -> Any:
        """Returns the numbers of a new span."""
        return self._api.SpanContext(
            parent.trace_id if parent is not None else self._ids.generate_trace_id(),
            self._ids.generate_span_id(),
            is_remote=False,
            trace_flags=self._api.TraceFlags(self._api.TraceFlags.SAMPLED),
            trace_state=parent.trace_state if parent is not None else None,
        )

    def _finish(self, span: Span, context: Any, parent: Any, kind: Any) -> None:
        status = self._api.StatusCode
        self._processor.on_end(
            self._finished(
                span.name,
                context,
                parent,
                self._resource,
                span.attributes,
                kind=kind,
                status=self._api.Status(status.ERROR if span.is_fault else status.UNSET),
                start_time=span.start,
                end_time=span.end,
                instrumentation_scope=self._scope,
            )
        )


@dataclass(slots=True)
class Span:
    """What a span tells.

    Attributes:
        start: Time in ns.
        end: Time in ns.
        is_fault: Its status is an error.
    """

    name: str
    attributes: dict[str, Any]
    start: int = field(default_factory=time.time_ns)
    end: int = 0
    is_fault: bool = False


class Trace:
    """One sampled request: enter it as a context while the request is answered.

    Attributes:
        id: The trace's number, 32 hexadecimal digits.
        context: The SDK's numbers of the request's span.
        parent: Of the caller's; None without one.
        span: The request's.
        phases: Spans below it.
    """

    def __init__(self, tracer: Tracer, context: Any, parent: Any, span: Span) -> None:
        self._tracer = tracer
        self._token: contextvars.Token[Trace | None] | None = None
        self.id = format(context.trace_id, "032x")
        self.context, self.parent, self.span = context, parent, span
        self.phases: list[Span] = []

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
        self.span.end = time.time_ns()
        self._tracer.finish(self)

    def route(self, method: str, route: str) -> None:
        """Names the span after an HTTP route, such as `/v1/models/{model}:predict`."""
        self.span.name = f"{method} {route}"
        self.describe({"http.route": route})

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """Adds attributes to the request's span."""
        self.span.attributes.update(attributes)

    def http_status(self, status: int) -> None:
        """Notes the status of an HTTP answer."""
        self.describe({"http.response.status_code": status})
        if status >= 500:
            self._fails(str(status))

    def grpc_status(self, code: Code) -> None:
        """Notes the status of a gRPC call."""
        self.describe({"rpc.response.status_code": code.name})
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
        span = Span(name, attributes, start, time.time_ns() if end is None else end)
        if error is not None:
            cause = error.code.name if isinstance(error, ServingError) else type(error).__name__
            span.attributes["error.type"] = cause
            span.is_fault = True
        self.phases.append(span)

    def _fails(self, cause: str) -> None:
        self.describe({"error.type": cause})
        self.span.is_fault = True
