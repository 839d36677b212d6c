"""The gRPC server: services at their official paths, errors as statuses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from server.core import Core
from server.errors import ServingError
from server.grpc.models import ModelService
from server.grpc.prediction import PredictionService
from wire import services

logger = logging.getLogger(__name__)

_MAX_MESSAGE_BYTES = 2**31 - 1  # as in TensorFlow Serving
_STATUS = {status.value[0]: status for status in grpc.StatusCode}


@dataclass(frozen=True)
class GrpcOptions:
    """Where and how to listen.

    Attributes:
        port: None listens on no port, 0 takes any free one.
        socket_path: A unix socket to listen on as well.
        arguments: gRPC channel arguments.
        as_tensor_content: Answer in `tensor_content` rather than in the typed fields.
    """

    host: str = "127.0.0.1"
    port: int | None = 0
    socket_path: str = ""
    arguments: Mapping[str, int | str] = ()  # type: ignore[assignment]
    as_tensor_content: bool = False
    credentials: Any = None


class GrpcServer:
    """TensorFlow Serving's services on grpc.aio."""

    def __init__(self, core: Core, options: GrpcOptions) -> None:
        self._options = options
        arguments = {
            "grpc.max_receive_message_length": _MAX_MESSAGE_BYTES,
            "grpc.max_send_message_length": _MAX_MESSAGE_BYTES,
            "grpc.so_reuseport": 0,
        } | dict(options.arguments)
        self._server = grpc.aio.server(options=list(arguments.items()))
        prediction = PredictionService(core, as_tensor_content=options.as_tensor_content)
        self._server.add_generic_rpc_handlers(
            (
                _handlers(services.PREDICTION_SERVICE, services.PREDICTION_METHODS, prediction),
                _handlers(services.MODEL_SERVICE, services.MODEL_METHODS, ModelService(core)),
            )
        )

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
        await self._server.start()
        return port

    async def close(self, grace_s: float | None) -> None:
        """Takes no new calls and ends when those under way are answered, or after the grace."""
        await self._server.stop(grace_s)

    def _listen(self, address: str) -> int:
        if self._options.credentials is not None:
            return self._server.add_secure_port(address, self._options.credentials)
        return self._server.add_insecure_port(address)


def _handlers(
    service: str, methods: Mapping[str, services.Method], implementation: Any
) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        service,
        {
            name: grpc.unary_unary_rpc_method_handler(
                _with_status(getattr(implementation, name)),
                request_deserializer=method.request.FromString,
                response_serializer=method.response.SerializeToString,
            )
            for name, method in methods.items()
        },
    )


def _with_status(method: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    async def call(request: Any, context: Any) -> Any:
        try:
            return await method(request, context)
        except ServingError as error:
            await context.abort(_STATUS[error.code], error.message)
        except (asyncio.CancelledError, grpc.RpcError, grpc.aio.AbortError):
            raise
        except Exception:
            logger.exception("gRPC call failed")
            await context.abort(grpc.StatusCode.INTERNAL, "Internal error of the server")

    return call
