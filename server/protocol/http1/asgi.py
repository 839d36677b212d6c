"""An ASGI application around a handler: what `server.protocol.http1` does, on another's server.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from server.errors import ServingError
from server.protocol import sockets
from server.protocol.http1 import head
from server.protocol.http1.messages import Handler, Request, Response
from server.protocol.http1.refusals import Refusal, error_response, malformed, too_large
from server.protocol.limits import Share, Usage

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Disconnected(Exception):
    """The client is gone."""


class Application:
    """Lets requests in by their headers, reads their bodies within the budget, and answers."""

    def __init__(self, handler: Handler, usage: Usage) -> None:
        self._handler = handler
        self._usage = usage

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request."""
        share = Share(self._usage)
        is_over = False
        request: Request | None = None
        try:
            request = _request(scope, share)
            has_body = _has_body(request)
            response = self._handler.admit(request)
            if response is not None:
                is_over = has_body
            else:
                if has_body:
                    await self._read(request, receive)
                response = await self._answer(request, receive)
        except Refusal as refusal:
            response, is_over = refusal.response, True
            self._handler.refused(request or _known(scope), response)
        except Disconnected:
            return
        finally:
            share.close()
        headers = [(b"Content-Type", response.content_type.encode())]
        headers.append((b"Content-Length", b"%d" % len(response.body)))
        for name, value in response.headers.items():
            headers.append((name.encode(), value.encode("latin-1", "replace")))
        if is_over:
            headers.append((b"Connection", b"close"))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, request: Request, receive: Receive) -> Response:
        """Returns the handler's answer, for which nobody waits any more once the client is gone."""
        answer = asyncio.ensure_future(self._handler(request))
        gone = asyncio.ensure_future(_disconnect(receive))
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise Disconnected
            return answer.result()
        except Disconnected:
            raise
        except Exception:
            logger.exception("%s %s", request.method, request.path)
            return error_response(500, "Internal error of the server")
        finally:
            answer.cancel()
            gone.cancel()

    async def _read(self, request: Request, receive: Receive) -> None:
        """Reads the body.

        Raises:
            Refusal: it is too large, there is no room for it, or it doesn't get on.
            Disconnected: it ends early.
        """
        limits = self._usage.limits
        body, has_more, loop = bytearray(), True, asyncio.get_running_loop()
        if int(request.headers.get("content-length", 0)) > limits.message_bytes:
            raise too_large(limits.message_bytes)
        marked, deadline = 0, loop.time() + limits.body_s
        while has_more:
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise Refusal(408, "Request did not arrive in time") from None
            if message["type"] == "http.disconnect":
                raise Disconnected
            piece, has_more = message.get("body", b""), message.get("more_body", False)
            if len(body) + len(piece) > limits.message_bytes:
                raise too_large(limits.message_bytes)
            try:
                request.share.take(len(piece))
            except ServingError as error:
                raise Refusal(error.http_status, error.message) from None
            body += piece
            if len(body) >= marked + limits.progress_bytes:
                marked, deadline = len(body), loop.time() + limits.body_s
        request.body = bytes(body)


def _known(scope: Message) -> Request:
    """Returns what is known of a request whose head isn't as it must be."""
    client = scope.get("client")
    peer = f"{client[0]}:{client[1]}" if client else ""
    path = scope["raw_path"].decode("latin-1")
    return Request(scope["method"], path, scope["query_string"].decode("latin-1"), peer=peer)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _has_body(request: Request) -> bool:
    headers = request.headers
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _request(scope: Message, share: Share) -> Request:
    """Returns a request without its body.

    Raises:
        Refusal: its head isn't as it must be.
    """
    headers: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1"), value.decode("latin-1")
        if name in headers:
            if name in head.SINGLE:
                raise malformed(f"more than one {name}")
            text = f"{headers[name]}, {text}"
        headers[name] = text
    method = scope["method"]
    head.check(method, scope["http_version"], headers)
    path, query = head.target(scope["raw_path"].decode("latin-1"), method)
    query = scope["query_string"].decode("latin-1") or query
    client = scope.get("client")
    return Request(
        method,
        path,
        query,
        headers,
        peer=f"{client[0]}:{client[1]}" if client else "",
        is_local=client is not None and sockets.is_local(tuple(client)),
        share=share,
    )
