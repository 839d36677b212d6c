"""The one error of the server, and what its codes are in gRPC and in HTTP."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Code(enum.IntEnum):
    """Canonical status codes, the same in TensorFlow, gRPC and the API's StatusProto."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# Source: tensorflow_serving/model_servers/http_server.cc, ToHTTPStatusCode; all others are 500.
HTTP_STATUS: Mapping[Code, int] = {
    Code.OK: 200,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


class ServingError(Exception):
    """A request or a load that failed; the message is what the client reads."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """The status of an HTTP response that reports this error."""
        return HTTP_STATUS.get(self.code, 500)


def invalid(message: str) -> ServingError:
    """Returns the error for a request that is wrong in itself."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def internal(error: BaseException) -> ServingError:
    """Returns an exception that nobody expected as an error of the server."""
    return ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}")
