"""The gRPC server: services at their official paths, errors as statuses."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from server.api.tfs_grpc.models import ModelService
from server.api.tfs_grpc.prediction import PredictionService
from server.api.v2.service import InferenceService
from server.errors import Code, ServingError
from server.inference.core import Core
from server.protocol.grpc.aio import AioServer
from server.protocol.guard import Guard
from server.protocol.tls import Tls
from wire import services
from wire import serving_pb2 as pb

logger = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES = 2**31 - 1  # as in TensorFlow Serving
_MAX_DETAILS = 4000  # a status travels in headers, of which clients take 8 KiB
_STATUS = {status.value[0]: status for status in grpc.StatusCode}
_HEALTH_SERVICES = (
    "", "ModelService", "PredictionService", services.MODEL_SERVICE, services.PREDICTION_SERVICE
)  # fmt: skip
_SERVING = 1  # HealthCheckResponse.ServingStatus
_WITH_SPEC = (
    pb.PredictResponse,
    pb.ClassificationResponse,
    pb.RegressionResponse,
    pb.InferenceResult,
    pb.GetModelMetadataResponse,
)
_PROFILER_SERVICE = "tensorflow.ProfilerService"


@dataclass(frozen=True)
class GrpcOptions:
    """Where and how to listen.

    Attributes:
        port: None listens on no port, 0 takes any free one.
        socket_path: A unix socket to listen on as well.
        arguments: gRPC channel arguments.
        as_tensor_content: Answer in `tensor_content` rather than in the typed fields.
        tls: Key and certificate; None for plain connections.
        health: Offer grpc.health.v1.
    """

    host: str = "127.0.0.1"
    port: int | None = 0
    socket_path: str = ""
    arguments: Mapping[str, int | str] = field(default_factory=dict)
    as_tensor_content: bool = False
    tls: Tls | None = None
    health: bool = False


class GrpcServer:
    """TensorFlow Serving's services."""

    def __init__(self, core: Core, options: GrpcOptions, guard: Guard) -> None:
        self._core = core
        self._options = options
        self._guard = guard
        self._health: Any = None
        arguments = {
            "grpc.max_receive_message_length": _MAX_MESSAGE_BYTES,
            "grpc.max_send_message_length": _MAX_MESSAGE_BYTES,
            "grpc.so_reuseport": 0,
        } | dict(options.arguments)
        self._server = AioServer(arguments.items())
        prediction = PredictionService(core, as_tensor_content=options.as_tensor_content)
        for service, methods, implementation in (
            (services.PREDICTION_SERVICE, services.PREDICTION_METHODS, prediction),
            (services.MODEL_SERVICE, services.MODEL_METHODS, ModelService(core)),
            (services.INFERENCE_SERVICE, services.INFERENCE_METHODS, InferenceService(core)),
        ):
            self._add(service, methods, implementation)
        self._add_profiler()
        self._add_reflection()
        if options.health:
            self._add_health()

    async def start(self) -> int | None:
        """Starts listening and returns the port.

        Raises:
            OSError: the address can't be had.
        """
        port = None
        try:
            if self._options.port is not None:
                port = self._listen(f"{self._options.host}:{self._options.port}")
            if self._options.socket_path:
                self._listen(f"unix:{self._options.socket_path}")
        except RuntimeError as error:
            raise OSError(str(error)) from None
        if self._health is not None:
            for name in _HEALTH_SERVICES:
                await self._health.set(name, _SERVING)
        await self._server.start()
        return port

    async def close(self, grace_s: float | None) -> None:
        """Takes no new calls and ends when those under way are answered, or after the grace."""
        if self._health is not None:
            await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)

    def _listen(self, address: str) -> int:
        if self._options.tls is not None:
            return self._server.add_secure_port(address, self._options.tls.context())
        return self._server.add_insecure_port(address)

    def _add(
        self, service: str, methods: Mapping[str, services.Method], implementation: Any
    ) -> None:
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._call(getattr(implementation, name), name, f"/{service}/{name}"),
                request_deserializer=method.request.FromString,
                response_serializer=method.response.SerializeToString,
            )
            for name, method in methods.items()
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, handlers),)
        )

    def _add_profiler(self) -> None:
        """Answers TensorFlow's profiler clients: there is nothing here that they could profile.

        As the official server does without a session (profiler_service_impl.cc), but for the code
        of Profile, which is INTERNAL there: nothing is wrong with the server.
        """

        async def profile(request: bytes, context: Any) -> bytes:
            raise ServingError(
                Code.UNIMPLEMENTED,
                "the embedded server has no TensorFlow profiler; see /metrics and Server-Timing",
            )

        async def monitor(request: bytes, context: Any) -> bytes:
            raise ServingError(Code.UNIMPLEMENTED, "unimplemented.")

        async def terminate(request: bytes, context: Any) -> bytes:
            return b""  # an empty TerminateResponse

        handlers = {
            method.__name__.capitalize(): grpc.unary_unary_rpc_method_handler(
                self._call(
                    method,
                    method.__name__.capitalize(),
                    f"/{_PROFILER_SERVICE}/{method.__name__.capitalize()}",
                )
            )
            for method in (profile, monitor, terminate)
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_PROFILER_SERVICE, handlers),)
        )

    def _add_reflection(self) -> None:
        from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

        from server.api.tfs_grpc import descriptors

        names = (services.PREDICTION_SERVICE, services.MODEL_SERVICE, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(  # type: ignore[attr-defined]
                names, pool=descriptors.pool()
            ),
            self._server,
        )

    def _add_health(self) -> None:
        from grpc_health.v1 import health, health_pb2_grpc

        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def _call(self, method: Callable[[Any, Any], Awaitable[Any]], name: str, path: str) -> Any:
        async def call(request: Any, context: Any) -> Any:
            start = time.perf_counter()
            response, failure = None, None
            try:
                self._guard.check(path, _authorization(context), is_local=context.is_local)
                response = await method(request, context)
            except ServingError as error:
                failure = error
            except Exception:
                logger.exception("gRPC call %s failed", name)
                failure = ServingError(Code.INTERNAL, "Internal error of the server")
            seconds = time.perf_counter() - start
            context.set_trailing_metadata(_trailing(response, seconds))
            if self._core.observer.logs:
                code = failure.code if failure else Code.OK
                self._log(name, request, context, code, seconds)
            if failure is not None:
                await context.abort(_STATUS[failure.code], failure.message[:_MAX_DETAILS])
            return response

        return call

    def _log(self, name: str, request: Any, context: Any, code: Code, seconds: float) -> None:
        spec = getattr(request, "model_spec", None)
        self._core.observer.log(
            face="GRPC",
            peer=context.peer(),
            method=name,
            model=spec.name if spec is not None else None,
            status=code.name,
            milliseconds=round(seconds * 1e3, 3),
            bytes_in=request.ByteSize() if hasattr(request, "ByteSize") else len(request),
        )


def _trailing(response: Any, seconds: float) -> list[tuple[str, str]]:
    """Returns what REST's headers say: the time it took and the version that answered."""
    metadata = [("server-timing", f"total;dur={seconds * 1e3:.3f}")]
    if isinstance(response, pb.MultiInferenceResponse):
        response = response.results[0]  # all are by one version
    if isinstance(response, _WITH_SPEC):
        metadata.append(("x-model-version", str(response.model_spec.version.value)))
    return metadata


def _authorization(context: Any) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""
