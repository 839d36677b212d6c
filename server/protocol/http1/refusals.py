"""What can't be served as HTTP: the answer that says so, after which the connection ends."""

from __future__ import annotations

import json

from server.protocol.http1.messages import Response


class Refusal(Exception):
    """A request that breaks the protocol or a limit.

    Attributes:
        response: The answer.
        is_noted: It is the handler's own, which knows of it already.
    """

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.response = error_response(status, problem)
        self.is_noted = False

    @classmethod
    def of_handler(cls, response: Response) -> Refusal:
        """Returns the refusal of a request that the handler doesn't let in."""
        refusal = cls(response.status, "")
        refusal.response, refusal.is_noted = response, True
        return refusal


def error_response(status: int, problem: str) -> Response:
    """Returns an answer with an error as TensorFlow Serving writes it."""
    return Response(f'{{ "error": {json.dumps(problem)} }}'.encode(), status)


def malformed(problem: str) -> Refusal:
    """Returns the refusal of what isn't HTTP/1.1 (RFC 9112)."""
    return Refusal(400, f"Malformed HTTP request: {problem}")


def too_large(limit: int) -> Refusal:
    """Returns the refusal of a body that is longer than a limit in bytes."""
    return Refusal(413, f"Request body is too large: {limit} bytes are the most")
