"""Where the server is and how to reach it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from client.api import APIS, Api, ApiKind

# Source: https://grpc.github.io/grpc/core/md_doc_naming.html
_TARGET = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):")
# A token of RFC 9110, 5.6.2; gRPC's metadata has fewer characters (and makes them lower case).
_HTTP_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_GRPC_NAME = re.compile(r"[0-9A-Za-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_URL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Endpoint:
    """One address of a server.

    Attributes:
        host: Name or address, an IPv6 address without brackets; empty for a target that has none.
        port: TCP port.
        api: One of `client.api.APIS`.
        tls: Encrypt; implied by `ca_file` and `cert_file`.
        ca_file: PEM file of the authorities to trust in place of the system's.
        cert_file: PEM file of the client's own certificate, where the server asks for one.
        key_file: PEM file of its private key.
        token: Sent as `Authorization: Bearer …`.
        headers: Names and values sent with each call: HTTP's headers, or gRPC's metadata.
        prefix: What stands before `/v1/…` in REST's paths, such as `/models-eu`.
        target: gRPC's own name of the server or servers, in place of host and port.

    Raises:
        ValueError: an impossible combination of these.
    """

    host: str
    port: int
    api: Api
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    token: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    target: str | None = None

    def __post_init__(self) -> None:
        if self.api not in APIS:
            raise ValueError(f"api is {self.api!r}; it is {' or '.join(map(repr, APIS))}")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together; one is missing")
        if self.target is None and not 0 < self.port < 65536:
            raise ValueError(f"port is {self.port}; it is between 1 and 65535")
        for name, value in self.headers:
            self._check_header(name, value)

    def _check_header(self, name: str, value: str) -> None:
        is_grpc = self.kind.carrier == "grpc"
        if not (_GRPC_NAME if is_grpc else _HTTP_NAME).fullmatch(name):
            raise ValueError(f"{name!r} is no name of {'metadata' if is_grpc else 'a header'}")
        if is_grpc and name.lower().endswith("-bin"):
            raise ValueError(f"{name}: binary metadata can't be sent; leave out -bin")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"header {name}: its value is not printable ASCII on one line")
        if self.token is not None and name.lower() == "authorization":
            raise ValueError("a token is an Authorization header; give one of them")

    @property
    def kind(self) -> ApiKind:
        """What is known of its API."""
        return APIS[self.api]

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or self.ca_file is not None or self.cert_file is not None

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, which no proxy from the environment stands before."""
        if self.target is not None and self.target.startswith("unix"):
            return True
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def address(self) -> str:
        """Host and port as one string, an IPv6 address in brackets; or the target."""
        if self.target is not None:
            return self.target
        return self.authority

    @property
    def authority(self) -> str:
        """Host and port as one string, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """The headers of each call, the token's with them."""
        bearer = [("Authorization", f"Bearer {self.token}")] if self.token else []
        return [*self.headers, *bearer]

    @property
    def api_name(self) -> str:
        """`REST` or `gRPC`, for people."""
        return self.kind.name

    def __str__(self) -> str:
        return f"{self.address}{self.prefix} ({self.api_name})"


def endpoint(
    server: str,
    port: int | None,
    api: Api,
    *,
    tls: bool = False,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Endpoint:
    """Returns the endpoint that a user names.

    Args:
        server: A host; for REST also a URL, `https://host[:port][/prefix]`; for gRPC also a target
            such as `dns:///host[:port]`.
        port: TCP port, where `server` holds none; the API's own by default.
        api: One of `client.api.APIS`.
        tls: As for `Endpoint`.
        ca_file: As for `Endpoint`.
        cert_file: As for `Endpoint`.
        key_file: As for `Endpoint`.
        token: As for `Endpoint`.
        headers: Values by name.

    Raises:
        ValueError: an impossible combination of these.
    """
    host, prefix, target = server, "", None
    if api not in APIS:
        pass  # refused below
    elif "://" in server and not is_target(server):
        if APIS[api].carrier != "http":
            raise ValueError(
                f"{server!r} is a URL; {APIS[api].name} takes HOST or dns:///HOST:PORT"
            )
        host, port, prefix, secure = _split_url(server, port)
        if not secure and (tls or ca_file or cert_file):
            raise ValueError(f"{server!r} is not encrypted; write https:// to use TLS")
        tls = tls or secure
    elif is_target(server):
        if APIS[api].carrier != "grpc":
            raise ValueError(f"{server!r} is a gRPC target; {APIS[api].name} takes HOST or a URL")
        host, port, target = _split_target(server, port, APIS[api].port)
    if port is None:
        port = APIS[api].port if api in APIS else 0
    return Endpoint(
        host,
        port,
        api,
        tls,
        ca_file,
        cert_file,
        key_file,
        token,
        tuple((headers or {}).items()),
        prefix,
        target,
    )


def is_target(server: str) -> bool:
    """Whether a server is named as gRPC's targets are, by a scheme such as `dns:`."""
    return _TARGET.match(server) is not None


def _split_url(url: str, port: int | None) -> tuple[str, int, str, bool]:
    parts = urlsplit(url)
    if parts.scheme not in _URL_PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no URL of a server; write it as https://HOST[:PORT][/PREFIX]")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{url!r}: a user name, a query or a fragment has no place in it")
    if parts.port is not None and port is not None:
        raise ValueError(f"{url!r} holds a port; port {port} besides is one too many")
    chosen = parts.port or port or _URL_PORTS[parts.scheme]
    return parts.hostname, chosen, parts.path.rstrip("/"), parts.scheme == "https"


def _split_target(target: str, port: int | None, default: int) -> tuple[str, int, str]:
    """Gives a dns target a port, as gRPC's own default is 443; other targets are left alone."""
    if not target.startswith("dns:"):
        if port is not None:
            raise ValueError(f"{target!r} says all of the address; port {port} is one too many")
        return "", 0, target
    head, slash, name = target.rpartition("/")
    if not slash:
        head, _, name = target.partition(":")
        head += ":"
    parts = urlsplit(f"//{name}")
    if not parts.hostname:
        raise ValueError(f"{target!r} names no host; write it as dns:///HOST:PORT")
    if parts.port is not None and port is not None:
        raise ValueError(f"{target!r} holds a port; port {port} besides is one too many")
    chosen = parts.port or port or default
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts.hostname, chosen, f"{head}{slash}{host}:{chosen}"
