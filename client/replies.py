"""HTTP replies as JSON, or as the refusals that they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from client import errors
from client.codec import HttpReply

# What a web server says that has no such page; a model server's answer has an `error` beside it.
_NO_SUCH_PAGE = (404, 405, 501)


@dataclass(frozen=True)
class Replies:
    """Reads the replies of one server.

    Attributes:
        server: Its name in errors.
        api: What it is expected to speak, such as `TensorFlow Serving's REST API`.
    """

    server: str
    api: str

    def parse(self, reply: HttpReply, size: int | None = None) -> dict[str, Any]:
        """Returns a reply's object.

        Args:
            reply: The reply.
            size: Bytes of JSON at the begin of its content; None: all.

        Raises:
            ServingError: the server's refusal, or what answers is no model server.
        """
        try:
            answer = json.loads(reply.content if size is None else reply.content[:size])
        except ValueError:
            answer = None
        if 300 <= reply.status < 400:  # not followed: the token and the body are for this server
            elsewhere = reply.headers.get("location", "another address")
            message = f"{self.server} answers HTTP {reply.status}: ask {elsewhere}"
            raise errors.ServingError("UNIMPLEMENTED", message)
        if reply.status != 200:
            text = answer.get("error") if isinstance(answer, dict) else None
            if text is None and reply.status in _NO_SUCH_PAGE:
                raise self.other_api(f"HTTP {reply.status} without an error in JSON")
            text = text or reply.content[:200].decode(errors="replace").strip() or reply.reason
            raise errors.error(errors.http_code(reply.status), str(text))
        if not isinstance(answer, dict):
            raise self.other_api("no JSON object")
        return answer

    def other_api(self, seen: str) -> errors.ServingError:
        """Returns the error with the code that a gRPC server of other services answers with."""
        message = f"{self.server} doesn't answer as {self.api} does ({seen})"
        return errors.ServingError("UNIMPLEMENTED", message)
