"""Spans to a collector by OTLP, in batches, on a thread of the SDK's."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Mapping

from server.errors import Code, ServingError, invalid
from server.telemetry.sampling import Sampling
from server.telemetry.tracing import Tracer

logger = logging.getLogger(__name__)

_EXPORTERS = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
}


def start(environment: Mapping[str, str] = os.environ) -> Tracer:
    """Starts the SDK as its environment variables say: endpoint, headers, batches, resource.

    Raises:
        ServingError: the packages are missing, or a variable names what there isn't.
    """
    sampling = Sampling.read(environment)
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
    resource = Resource.create({} if named else {"service.name": "model-server"})
    processor = BatchSpanProcessor(exporting.OTLPSpanExporter())
    logger.info("tracing by OTLP (%s): %g of requests without a trace", protocol, sampling.roots)
    return Tracer(processor, resource, sampling)
