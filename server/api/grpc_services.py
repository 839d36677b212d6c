"""The gRPC services as methods by path, whatever transport carries them."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.api import grpc_reflection
from server.api.tfs_grpc import descriptors
from server.api.tfs_grpc.models import ModelService
from server.api.tfs_grpc.prediction import PredictionService
from server.api.tfs_grpc.profiler import ProfilerService
from server.api.v2 import descriptors as v2_descriptors
from server.api.v2.service import InferenceService
from server.errors import Code, ServingError
from server.inference.core import Core
from server.protocol.grpc.method import Context, Method, of_one_request
from server.telemetry import tracing
from wire import open_inference_pb2 as v2
from wire import pieces, predict_request, services
from wire import serving_pb2 as pb

_HEALTH_SERVICE = "grpc.health.v1.Health"
_HEALTHY_SERVICES = (
    "", "ModelService", "PredictionService", services.MODEL_SERVICE, services.PREDICTION_SERVICE,
    services.INFERENCE_SERVICE,
)  # fmt: skip
_SERVING = 1  # HealthCheckResponse.ServingStatus
_WITH_SPEC = {
    pb.PredictResponse,
    pb.ClassificationResponse,
    pb.RegressionResponse,
    pb.InferenceResult,
    pb.GetModelMetadataResponse,
}


@dataclass(frozen=True)
class ServiceOptions:
    """What the services offer.

    Attributes:
        as_tensor_content: Answer in `tensor_content` rather than in the typed fields.
        health: Offer grpc.health.v1.
    """

    as_tensor_content: bool = False
    health: bool = False


class GrpcServices:
    """The services of both APIs, TensorFlow's profiler's answers, health checks and reflection.

    Attributes:
        methods: By path. A transport registers them all, checks who may call them, and turns a
            `ServingError` into the call's status.
    """

    def __init__(self, core: Core, options: ServiceOptions) -> None:
        self._core = core
        self._health: Any = None
        self.methods: dict[str, Method] = {}
        prediction = PredictionService(core, as_tensor_content=options.as_tensor_content)
        self._add(services.PREDICTION_METHODS, prediction)
        self._add(services.MODEL_METHODS, ModelService(core))
        self._add(services.PROFILER_METHODS, ProfilerService())
        self._add(services.INFERENCE_METHODS, InferenceService(core))
        names, files = [
            services.PREDICTION_SERVICE, services.MODEL_SERVICE, services.INFERENCE_SERVICE
        ], []  # fmt: skip
        pool = descriptors.pool()
        pool.Add(v2_descriptors.file())
        if options.health:
            files.append(self._add_health())
            names.append(_HEALTH_SERVICE)
        self.methods |= grpc_reflection.methods(names, files, pool)

    async def open(self) -> None:
        """Tells health checks that the services answer."""
        if self._health is not None:
            for name in _HEALTHY_SERVICES:
                await self._health.set(name, _SERVING)

    async def drain(self) -> None:
        """Tells health checks, for good, that the services will end."""
        if self._health is not None:
            await self._health.enter_graceful_shutdown()

    def log_refusal(self, path: str, peer: str, error: ServingError) -> None:
        """Takes note in the access log of a call that a transport has turned away."""
        if self._core.observer.logs:
            self._log(path.rpartition("/")[2], peer, error.code, 0.0)

    def _add(self, methods: Mapping[str, services.Method], implementation: Any) -> None:
        for name, method in methods.items():
            self.methods[method.path] = Method(
                method.request.FromString,
                method.response.SerializeToString,
                self._watched(getattr(implementation, name), name),
                view=predict_request.view if method.request is pb.PredictRequest else None,
                parse_long=functools.partial(pieces.parse, method.request),
            )

    def _add_health(self) -> Any:
        """Adds health checks and returns the file that describes them."""
        from grpc_health.v1 import health, health_pb2

        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        parse = health_pb2.HealthCheckRequest.FromString
        serialize = health_pb2.HealthCheckResponse.SerializeToString
        self.methods[f"/{_HEALTH_SERVICE}/Check"] = Method(parse, serialize, self._health.Check)
        self.methods[f"/{_HEALTH_SERVICE}/Watch"] = Method(
            parse, serialize, stream=of_one_request(self._health.Watch)
        )
        return health_pb2.DESCRIPTOR

    def _watched(
        self, method: Callable[[Any, Context], Awaitable[Any]], name: str
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        """Adds the time it took, the version that answered and the access log to a method."""
        observer = self._core.observer

        async def call(request: Any, context: Context) -> Any:
            start = time.perf_counter()
            response, code = None, Code.OK
            try:
                response = await method(request, context)
                return response
            except ServingError as error:
                code = error.code
                raise
            except Exception:
                code = Code.INTERNAL
                raise
            finally:
                seconds = time.perf_counter() - start
                context.set_trailing_metadata(_trailing(response, seconds))
                if observer.logs:
                    trace = tracing.trace_id(tracing.traceparent(context.invocation_metadata()))
                    self._log(name, context.peer(), code, seconds, request, trace)

        return call

    def _log(
        self,
        name: str,
        peer: str,
        code: Code,
        seconds: float,
        request: Any = b"",
        trace: str | None = None,
    ) -> None:
        spec = getattr(request, "model_spec", None)
        model = spec.name if spec is not None else getattr(request, "model_name", None)
        self._core.observer.log(
            face="GRPC",
            peer=peer,
            method=name,
            model=model,
            status=code.name,
            milliseconds=round(seconds * 1e3, 3),
            bytes_in=request.ByteSize() if hasattr(request, "ByteSize") else len(request),
            trace=trace,
        )


def _trailing(response: Any, seconds: float) -> list[tuple[str, str | bytes]]:
    """Returns what REST's headers say: the time it took and the version that answered."""
    metadata: list[tuple[str, str | bytes]] = [("server-timing", f"total;dur={seconds * 1e3:.3f}")]
    if isinstance(response, pb.MultiInferenceResponse):
        response = response.results[0]  # all are by one version
    if type(response) in _WITH_SPEC:
        metadata.append(("x-model-version", str(response.model_spec.version.value)))
    elif isinstance(response, v2.ModelInferResponse):
        metadata.append(("x-model-version", response.model_version))
    return metadata
