"""What a request's line and headers must be, beyond what httptools looks at."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from server.protocol.http1.refusals import Refusal, malformed

# Of which one value alone can be meant: a list of two would be read by each in its own way.
SINGLE = frozenset({"host", "authorization", "content-length"})

_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")  # RFC 3986, 3.2.2 and 3.2.3
_ABSOLUTE = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)


def check(method: str, version: str, headers: Mapping[str, str]) -> None:
    """Looks at what is wrong whatever is asked for.

    Args:
        method: In upper case.
        version: `1.1`.
        headers: Names in lower case.

    Raises:
        Refusal: 400, 417, 501 or 505.
    """
    if version == "1.1":
        host = headers.get("host")
        if host is None:
            raise malformed("no Host")  # RFC 9112, 3.2
        if "expect" in headers and headers["expect"].lower() != "100-continue":
            raise Refusal(417, "Expect: only 100-continue can be met")  # RFC 9110, 10.1.1
    elif version == "1.0":
        host = headers.get("host", "")
        if "transfer-encoding" in headers:
            raise malformed("HTTP/1.0 has no Transfer-Encoding")  # RFC 9112, 6.1
    else:
        raise Refusal(505, f"HTTP/{version} is not spoken here, HTTP/1.1 is")
    if not _is_host(host):
        raise malformed("Host isn't one")
    if method == "CONNECT":
        raise Refusal(501, "CONNECT: this is no proxy")
    if "transfer-encoding" in headers and headers["transfer-encoding"].lower() != "chunked":
        raise Refusal(501, "Transfer-Encoding: only chunked is understood")  # RFC 9112, 6.1


@functools.lru_cache(64)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


def target(url: str, method: str) -> tuple[str, str]:
    """Returns path and query of a request's target (RFC 9112, 3.2).

    Raises:
        Refusal: 400, it has no form that the method may have.
    """
    if not url.startswith("/"):
        if absolute := _ABSOLUTE.match(url):
            url = url[absolute.end() :]
            if not url.startswith("/"):
                url = "/" + url
        elif not (url == "*" and method == "OPTIONS"):
            raise malformed("its target isn't a path")
    if "#" in url:
        raise malformed("a fragment in its target")
    path, _, query = url.partition("?")
    return path, query
