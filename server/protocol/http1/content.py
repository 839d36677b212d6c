"""A request's body as it was before its client compressed it."""

from __future__ import annotations

from server.errors import invalid
from server.protocol import inflation
from server.protocol.http1.messages import Request

_CODINGS = ("gzip", "x-gzip", "deflate")  # RFC 9110, 8.4.1


async def decode(request: Request, limit: int) -> None:
    """Puts the inflated body in the place of a compressed one, in the budget too.

    Args:
        request: One that was let in.
        limit: Bytes to which the body may inflate.

    Raises:
        ServingError: the encoding isn't known, the body isn't what its header says, or it is too
            large.
    """
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return
    if coding not in _CODINGS:
        raise invalid(f"Content-Encoding {coding} is not supported; gzip and deflate are")
    packed = request.body
    try:
        request.body = await inflation.inflate(packed, inflation.GZIP_OR_ZLIB, request.share, limit)
    except inflation.Damaged as error:
        raise invalid(f"the body is not {coding}: {error}") from None
    request.share.give(len(packed))
