"""From bytes to requests: httptools' parser, with the rules and bounds that it lacks."""

from __future__ import annotations

import logging
from typing import Protocol

import httptools

from server.errors import ServingError
from server.protocol.http1 import head
from server.protocol.http1.messages import Request, Response
from server.protocol.http1.refusals import Refusal, malformed, too_large
from server.protocol.limits import Limits, Share

logger = logging.getLogger(__name__)

# Bytes that the parser gets at a time, where no head ends, and of chunks; a head is no shorter.
_HEAD_STRIDE = 1024
_CHUNKS_STRIDE = 4096
_SHORTEST_HEAD = len(b"GET / HTTP/1.1")
_LONGEST_USUAL_HEAD = 4096
_LONGEST_SHORT = 32 * 1024  # head and body
_WIRE_FACTOR = 16  # bytes on the wire for each of a chunked body; chunks of one byte take six
_LARGE_PIECE = 64 * 1024  # of a body, which isn't copied
_SMALL_PIECE = 4096  # pieces of a body below that are put together: each has a cost of its own
# Bytes of a body beyond which it is kept as it grows: to put its pieces together at the end would
# keep all threads waiting, and take twice its memory.
_LARGE_BODY = 4 * 2**20
_HEADER_COST = 150  # bytes that a header takes beside its text
_REQUEST_COST = 512
_END_OF_HEAD = b"\r\n\r\n"
_SPACE = " \t"


class Receiver(Protocol):
    """Who gets the requests."""

    def admit(self, request: Request) -> Response | None:
        """Its headers are here. Returns an answer where it isn't let in."""

    def expects(self) -> None:
        """It was let in, and its client waits for 100 (Continue)."""

    def completes(
        self, request: Request, refusal: Response | None, keep_alive: bool, cost: int
    ) -> None:
        """It is here as a whole; `cost`: bytes of memory that its head takes, about."""


class RequestReader:
    """Reads the requests of one connection.

    Attributes:
        is_midway: A request has begun, and isn't complete.
        has_head: Its head is here, and it was let in.
        body_bytes: Of its body that are here.
        steps: How many heads and bodies have begun so far.
        request: As far as it is known; None as long as its head isn't here.
    """

    def __init__(self, receiver: Receiver, limits: Limits, share: Share) -> None:
        """Takes who gets the requests, and what their bodies are taken from."""
        self._receiver = receiver
        self._limits = limits
        self._share = share
        self._parser = httptools.HttpRequestParser(self)
        self._failure: Refusal | None = None
        self.steps = 0
        self._last_body_bytes = 0
        self._start()

    def _start(self) -> None:
        self.is_midway = False
        self.has_head = False
        self.body_bytes = 0
        self._fed_bytes = 0
        self._is_upgrade = False
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_count = 0
        self._pieces: list[bytes | bytearray] = []
        self._length: int | None = 0
        self._refusal: Response | None = None
        self.request: Request | None = None

    def stride(self, data: bytes | bytearray, start: int) -> int:
        """Returns where to cut what has come: about a request's head, or at the end of its body.

        So of what isn't to be read yet, the most stays as it came.
        """
        if self.has_head:
            if self._length is None:
                return start + _CHUNKS_STRIDE
            return start + max(self._length - self.body_bytes, 1)
        if len(data) - start > _HEAD_STRIDE:
            end = data.find(_END_OF_HEAD, start, start + _LONGEST_USUAL_HEAD)
            if end >= start + _SHORTEST_HEAD:
                return end + len(_END_OF_HEAD)
        return start + _HEAD_STRIDE

    def feed_some(self, data: bytes, start: int) -> int:
        """Takes what `stride` cuts off, without a copy where that is long; returns its end.

        Raises:
            Refusal: as `feed`.
        """
        end = self.stride(data, start)
        is_long = end - start > _LARGE_PIECE
        self.feed(memoryview(data)[start:end] if is_long else data[start:end])
        return end

    def feed_short(self, data: bytes) -> bool:
        """Takes a short request as it came, head and body at once; False where it isn't one.

        So does most of what clients send: a cut costs as much as the rest of the reading.

        Raises:
            Refusal: as `feed`.
        """
        if self.is_midway or len(data) > _LONGEST_SHORT:
            return False
        end = data.find(_END_OF_HEAD)
        if end < _SHORTEST_HEAD or data.find(_END_OF_HEAD, end + 1) >= 0:
            return False
        head_bytes = end + len(_END_OF_HEAD)
        self._feed(data, head_bytes)
        if self.is_midway:
            if not self.has_head:  # the next one's head has begun
                self._fed_bytes = len(data) - head_bytes - self._last_body_bytes
            elif self._length is None:
                self._fed_bytes = len(data)
        return True

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Takes bytes as they came, cut by `stride`.

        Raises:
            Refusal: they are wrong or too many; the reader is of no more use.
        """
        self._feed(data, len(data))

    def _feed(self, data: bytes | bytearray | memoryview, head_bytes: int) -> None:
        # Counted as they come: the parser keeps a name, a value or a chunk's extension until it is
        # whole, and tells nobody.
        if not self.has_head:
            self._fed_bytes += head_bytes
            if self._fed_bytes > self._limits.header_bytes + _HEAD_STRIDE:
                raise self._too_many_headers()
        elif self._length is None:
            self._fed_bytes += len(data)
            allowed = self._limits.header_bytes + _WIRE_FACTOR * self.body_bytes
            if self._fed_bytes > allowed + 2 * _CHUNKS_STRIDE:
                raise self._too_many_headers()  # RFC 9112, 7.1.1: or extensions
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._without_upgrade()
            if rest := data[upgrade.args[0] :]:
                self.feed(rest)
        except httptools.HttpParserCallbackError as error:
            if self._failure is None:
                logger.exception("reading a request failed")
                raise Refusal(500, "Internal error of the server") from error
            raise self._failure from None
        except httptools.HttpParserError as error:
            raise malformed(str(error)) from None

    # The parser's side.

    def on_message_begin(self) -> None:
        """Starts a request."""
        self.is_midway = True
        self.steps += 1

    def on_url(self, url: bytes) -> None:
        """Collects the request target, which comes in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collects a header; a trailer field is none, whatever its name (RFC 9110, 6.5.1)."""
        self._header_count += 1
        if self._header_count > self._limits.header_count:
            self._fail(self._too_many_headers())
        if self.has_head:
            return
        key, headers = name.decode("latin-1").lower(), self._headers
        text = value.decode("latin-1").strip(_SPACE)
        if key in headers:
            if key in head.SINGLE:
                self._fail(malformed(f"more than one {key}"))
            text = f"{headers[key]}, {text}"
        headers[key] = text

    def on_headers_complete(self) -> None:
        """Looks at the head, and asks whether to let the request in, before any of its body."""
        parser, headers = self._parser, self._headers
        method = parser.get_method().decode("latin-1")
        if parser.should_upgrade() and method != "CONNECT":
            self._is_upgrade = True
            return
        try:
            head.check(method, parser.get_http_version(), headers)
            path, query = head.target(self._url.decode("latin-1"), method)
        except Refusal as refusal:
            path, _, query = self._url.decode("latin-1").partition("?")
            self.request = Request(method, path, query, headers, share=self._share)
            self._fail(refusal)
        request = self.request = Request(method, path, query, headers, share=self._share)
        self.has_head = True
        self.steps += 1
        has_body = False
        if "transfer-encoding" in headers:
            self._length, has_body = None, True
        elif "content-length" in headers:
            self._length = int(headers["content-length"])
            has_body = self._length != 0
        self._refusal = self._receiver.admit(request)
        if has_body:
            if self._refusal is not None:
                self._fail(Refusal.of_handler(self._refusal))
            if self._length is not None and self._length > self._limits.message_bytes:
                self._fail(too_large(self._limits.message_bytes))
            if "expect" in headers:
                self._receiver.expects()

    def on_body(self, data: bytes) -> None:
        """Keeps a piece of the body, within the limits."""
        size = len(data)
        if self.body_bytes + size > self._limits.message_bytes:
            self._fail(too_large(self._limits.message_bytes))
        try:
            self._share.take(size)
        except ServingError as error:
            self._fail(Refusal(error.http_status, error.message))
        self.body_bytes += size
        pieces = self._pieces
        if self.body_bytes > _LARGE_BODY:
            if len(pieces) > 1:
                pieces[:] = [bytearray(b"".join(pieces))]
            elif not pieces or not isinstance(pieces[0], bytearray):
                pieces[:] = [bytearray().join(pieces)]
            pieces[0] += data
        elif size >= _SMALL_PIECE or size == self._length:
            pieces.append(data)
        elif pieces and type(pieces[-1]) is bytearray:
            pieces[-1] += data
        else:
            pieces.append(bytearray(data))

    def on_message_complete(self) -> None:
        """Hands on the request."""
        if self._is_upgrade:
            return
        pieces, request = self._pieces, self.request
        assert request is not None
        if pieces:
            only = pieces[0]
            is_whole = len(pieces) == 1 and (
                isinstance(only, bytes) or self.body_bytes > _LARGE_BODY
            )
            request.body = only if is_whole else b"".join(pieces)
        cost = _REQUEST_COST + self._fed_bytes + _HEADER_COST * self._header_count
        refusal = self._refusal
        self._last_body_bytes = self.body_bytes
        self._start()
        self._receiver.completes(request, refusal, self._parser.should_keep_alive(), cost)

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
        self._start()
        self.feed(b"\r\n".join(lines) + _END_OF_HEAD)

    def _too_many_headers(self) -> Refusal:
        limits = self._limits
        return Refusal(
            431,
            f"Request headers are too large: {limits.header_bytes} bytes and "
            f"{limits.header_count} headers are the most",
        )

    def _fail(self, failure: Refusal) -> None:
        """Refuses from within the parser, which an exception makes stop."""
        self._failure = failure
        raise failure
