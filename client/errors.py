"""What a server's refusal becomes: one exception with gRPC's code, whichever API was used."""

from __future__ import annotations

# Source: TensorFlow Serving's http_rest_api_util (status codes of its REST errors); 422 is what
# servers on FastAPI answer to a body of another form.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_XLA_HINT = "start TensorFlow Serving with --xla_cpu_compilation_enabled=true"


class ServingError(Exception):
    """The server, or the way to it, refused a call.

    Attributes:
        code: gRPC's name of the status, such as `NOT_FOUND`; `UNIMPLEMENTED` where what answers is
            no model server.
        message: The server's own words.
    """

    def __init__(self, code: str, message: str):
        self.code = code
        self.message = message
        hint = f" ({_XLA_HINT})" if "XLA compilation disabled" in message else ""
        super().__init__(f"{code}: {message}{hint}")


class Unavailable(ServingError):
    """Nobody answers there, or the server is too busy or not ready; worth another try."""

    def __init__(self, message: str):
        super().__init__("UNAVAILABLE", message)


def error(code: str, message: str) -> ServingError:
    """Returns the exception for a gRPC status name."""
    return Unavailable(message) if code == "UNAVAILABLE" else ServingError(code, message)


def http_code(status: int) -> str:
    """Returns gRPC's name for an HTTP status; `OK` for 200, `INTERNAL` where none fits."""
    return "OK" if status == 200 else _CODES.get(status, "INTERNAL")
