"""From bytes to requests: httptools' parser, with the rules and bounds that it lacks."""

from __future__ import annotations

import logging
from typing import Protocol

import httptools

from server.errors import ServingError
from server.protocol.http1 import head
from server.protocol.http1.messages import Request, Response
from server.protocol.http1.refusals import Refusal, error_response, malformed
from server.protocol.limits import Limits, Share

logger = logging.getLogger(__name__)

# Bytes that the parser gets at a time, where no head ends, and of chunks; a head is no shorter.
_HEAD_STRIDE = 1024
_CHUNKS_STRIDE = 4096
_SHORTEST_HEAD = len(b"GET / HTTP/1.1")
_LONGEST_USUAL_HEAD = 4096
_WIRE_FACTOR = 16  # bytes on the wire for each of a chunked body; chunks of one byte take six
_SMALL_PIECE = 4096  # pieces of a body below that are put together: each has a cost of its own
_HEADER_COST = 150  # bytes that a header takes beside its text
_REQUEST_COST = 512
_END_OF_HEAD = b"\r\n\r\n"
_NO_REQUEST = Request("", "")


class Receiver(Protocol):
    """Who gets the requests."""

    def begins(self) -> None:
        """A request begins."""

    def admit(self, request: Request) -> Response | None:
        """Its headers are here. Returns an answer where it isn't let in."""

    def expects(self, has_body: bool, wants_word: bool) -> None:
        """It was let in; `wants_word`: its client waits for 100 (Continue)."""

    def completes(self, request: Request, refusal: Response | None, keep_alive: bool) -> None:
        """It is here as a whole."""


class RequestReader:
    """Reads the requests of one connection."""

    def __init__(self, receiver: Receiver, limits: Limits, share: Share) -> None:
        """Takes who gets the requests, and what their bodies are taken from."""
        self._receiver = receiver
        self._limits = limits
        self._share = share
        self._parser = httptools.HttpRequestParser(self)
        self._failure: Refusal | None = None
        self._unfinished = 0
        self._has_advanced = False
        self._start()

    def _start(self) -> None:
        self.is_midway = False
        self.has_head = False
        self.body_bytes = 0
        self._wire_bytes = 0
        self._is_upgrade = False
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._header_count = 0
        self._pieces: list[bytes | bytearray] = []
        self._length: int | None = 0
        self._refusal: Response | None = None

    def stride(self, data: bytes | bytearray, start: int) -> int:
        """Returns where to cut what has come: a request's head, or a body, and no byte beyond.

        So one that isn't to be read yet stays as it came, and its client's alone.
        """
        if self.has_head:
            if self._length is None:
                return start + _CHUNKS_STRIDE
            return start + max(self._length - self.body_bytes, 1)
        end = data.find(_END_OF_HEAD, start, start + _LONGEST_USUAL_HEAD)
        if end < start + _SHORTEST_HEAD:
            return start + _HEAD_STRIDE
        return end + len(_END_OF_HEAD)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Takes bytes as they came.

        Raises:
            Refusal: they are wrong or too many; the reader is of no more use.
        """
        self._has_advanced = False
        if self.has_head and self._length is None:
            self._wire_bytes += len(data)
            allowed = self._limits.header_bytes + _WIRE_FACTOR * self.body_bytes
            if self._wire_bytes > allowed + _CHUNKS_STRIDE:
                raise malformed("its chunks are mostly extensions")  # RFC 9112, 7.1.1
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._without_upgrade()
            if rest := data[upgrade.args[0] :]:
                self.feed(rest)
            return
        except httptools.HttpParserCallbackError as error:
            if self._failure is None:
                logger.exception("reading a request failed")
                raise Refusal(500, "Internal error of the server") from error
            raise self._failure from None
        except httptools.HttpParserError as error:
            raise malformed(str(error)) from None
        # A name, a value or a chunk's extension is told of once it is whole; the parser keeps it.
        self._unfinished = 0 if self._has_advanced else self._unfinished + len(data)
        if self._unfinished > self._limits.header_bytes:
            raise self._too_many_headers()

    @property
    def cost(self) -> int:
        """Bytes of memory that the head takes, about."""
        return _REQUEST_COST + self._head_bytes + _HEADER_COST * self._header_count

    # The parser's side.

    def on_message_begin(self) -> None:
        """Starts a request."""
        if not self._is_upgrade:
            self._receiver.begins()
        self._start()
        self.is_midway = True
        self._has_advanced = True

    def on_url(self, url: bytes) -> None:
        """Collects the request target, which comes in pieces."""
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header; a trailer field is none, whatever its name (RFC 9110, 6.5.1)."""
        self._header_count += 1
        self._count(len(name) + len(value))
        if self._header_count > self._limits.header_count:
            self._fail(self._too_many_headers())
        if self.has_head:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
        if key in self._headers:
            if key in head.SINGLE:
                self._fail(malformed(f"more than one {key}"))
            text = f"{self._headers[key]}, {text}"
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        """Looks at the head, and asks whether to let the request in, before any of its body."""
        parser, headers = self._parser, self._headers
        self._has_advanced = True
        method = parser.get_method().decode("latin-1")
        if parser.should_upgrade() and method != "CONNECT":
            self._is_upgrade = True
            return
        try:
            head.check(method, parser.get_http_version(), headers)
            path, query = head.target(self._url.decode("latin-1"), method)
        except Refusal as refusal:
            self._fail(refusal)
        self._request = Request(method, path, query, headers, share=self._share)
        self.has_head = True
        is_chunked = "transfer-encoding" in headers
        self._length = None if is_chunked else int(headers.get("content-length", 0))
        has_body = is_chunked or self._length != 0
        self._refusal = self._receiver.admit(self._request)
        if has_body:
            if self._refusal is not None:
                self._fail(self._refusal)
            if self._length is not None and self._length > self._limits.message_bytes:
                self._fail(self._too_large())
        if self._refusal is None:
            self._receiver.expects(has_body, "expect" in headers and has_body)

    def on_body(self, data: bytes) -> None:
        """Keeps a piece of the body, within the limits."""
        self._has_advanced = True
        size = len(data)
        if self.body_bytes + size > self._limits.message_bytes:
            self._fail(self._too_large())
        try:
            self._share.take(size)
        except ServingError as error:
            self._fail(error_response(error.http_status, error.message))
        self.body_bytes += size
        pieces = self._pieces
        if size >= _SMALL_PIECE or size == self._length:
            pieces.append(data)
        elif pieces and type(pieces[-1]) is bytearray:
            pieces[-1] += data
        else:
            pieces.append(bytearray(data))

    def on_message_complete(self) -> None:
        """Hands on the request."""
        if self._is_upgrade:
            return
        self._has_advanced = True
        pieces, request = self._pieces, self._request
        if pieces:
            only = pieces[0]
            is_whole = len(pieces) == 1 and isinstance(only, bytes)
            request.body = only if is_whole else b"".join(pieces)  # type: ignore[assignment]
        self._pieces = []
        self._request = _NO_REQUEST  # an idle connection keeps no body
        self.is_midway = self.has_head = False
        self._receiver.completes(request, self._refusal, self._parser.should_keep_alive())

    def _without_upgrade(self) -> None:
        """Reads the request as if it asked for no upgrade, which a server may (RFC 9110, 7.8).

        For the parser it is at its end, with its body the other protocol's. Another one gets the
        same head without the upgrade, and the body.
        """
        version = self._parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._url, version)]
        for name, value in self._headers.items():
            if name != "upgrade":
                lines.append(f"{name}: {value}".encode("latin-1"))
        self._parser = httptools.HttpRequestParser(self)
        self.feed(b"\r\n".join(lines) + _END_OF_HEAD)

    def _count(self, size: int) -> None:
        self._has_advanced = True
        self._head_bytes += size
        if self._head_bytes > self._limits.header_bytes:
            self._fail(self._too_many_headers())

    def _too_many_headers(self) -> Refusal:
        limits = self._limits
        return Refusal(
            431,
            f"Request headers are too large: {limits.header_bytes} bytes and "
            f"{limits.header_count} headers are the most",
        )

    def _too_large(self) -> Refusal:
        return Refusal(
            413, f"Request body is too large: {self._limits.message_bytes} bytes are the most"
        )

    def _fail(self, failure: Refusal | Response) -> None:
        """Refuses from within the parser, which an exception makes stop."""
        if isinstance(failure, Response):
            refusal = Refusal(failure.status, "")
            refusal.response = failure
            failure = refusal
        self._failure = failure
        raise failure
