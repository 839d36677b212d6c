"""Where the server is and how to reach it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Api = Literal["rest", "grpc"]
DEFAULT_PORTS: dict[str, int] = {"rest": 8501, "grpc": 8500}


@dataclass(frozen=True)
class Endpoint:
    """One address of a server.

    Attributes:
        host: Name or address; an IPv6 address without brackets.
        port: TCP port.
        api: `"rest"` or `"grpc"`.
        tls: Encrypt; implied by `ca_file` and `cert_file`.
        ca_file: PEM file of the authorities to trust in place of the system's.
        cert_file: PEM file of the client's own certificate, where the server asks for one.
        key_file: PEM file of its private key.
        token: Sent as `Authorization: Bearer …`.
    """

    host: str
    port: int
    api: Api
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        if self.api not in DEFAULT_PORTS:
            raise ValueError(f"api is {self.api!r}; it is 'rest' or 'grpc'")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together; one is missing")
        if not 0 < self.port < 65536:
            raise ValueError(f"port is {self.port}; it is between 1 and 65535")

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or self.ca_file is not None or self.cert_file is not None

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, which no proxy from the environment stands before."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def address(self) -> str:
        """Host and port as one string, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def api_name(self) -> str:
        """`REST` or `gRPC`, for people."""
        return "gRPC" if self.api == "grpc" else "REST"

    def __str__(self) -> str:
        return f"{self.address} ({self.api_name})"
