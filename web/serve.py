"""Serves the page: static files under a strict content security policy."""

from __future__ import annotations

import functools
import http.server
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

LOCAL = ("http://localhost:*", "http://127.0.0.1:*")


def content_security_policy(*servers: str) -> str:
    """What the page may do: run its own files and WebAssembly, and ask local model servers.

    Args:
        *servers: Origins of further model servers.

    https://www.w3.org/TR/CSP3/
    """
    connections = " ".join(dict.fromkeys(("'self'", *LOCAL, *servers)))
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "style-src 'self'",
            "font-src 'self'",
            "img-src 'self' data: blob:",
            f"connect-src {connections}",
            "worker-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


class Handler(http.server.SimpleHTTPRequestHandler):
    """Static files, gzipped where the client takes it and a packed copy is there."""

    protocol_version = "HTTP/1.1"
    extensions_map = {  # noqa: RUF012
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".bin": "application/octet-stream",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
        ".woff2": "font/woff2",
    }

    def __init__(self, *args: Any, policy: str, **kwargs: Any) -> None:
        self._policy = policy
        super().__init__(*args, **kwargs)

    def send_head(self) -> Any:
        """Answer with the packed copy, or as the base class does."""
        path = Path(self.translate_path(self.path))
        if path.is_dir():
            path /= "index.html"
        packed = path.with_name(path.name + ".gz")
        accepted = "gzip" in self.headers.get("Accept-Encoding", "")
        if not (accepted and path.is_file() and packed.is_file()):
            return super().send_head()
        file: BinaryIO = packed.open("rb")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(packed.stat().st_size))
        self.end_headers()
        return file

    def end_headers(self) -> None:
        """Add what every answer has."""
        self.send_header("Content-Security-Policy", self._policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Vary", "Accept-Encoding")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the page's requests are of no interest."""


def make_server(
    site: Path, *, host: str = "127.0.0.1", port: int = 0, servers: tuple[str, ...] = ()
) -> http.server.ThreadingHTTPServer:
    """A server of the page, not yet running.

    Args:
        site: The directory that the build wrote.
        host: Address to listen on.
        port: 0 takes a free one; `server_address` tells.
        servers: Origins of model servers that the page may ask, beside those on this machine.

    Raises:
        OSError: The port is taken.
    """
    handler = functools.partial(
        Handler, directory=str(site), policy=content_security_policy(*servers)
    )
    return http.server.ThreadingHTTPServer((host, port), handler)
