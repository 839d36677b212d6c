"""Sockets that servers listen on."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from contextlib import suppress
from typing import Any

_BACKLOG = 1024


def listen_tcp(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """Returns a listening socket; port 0 takes any free one.

    Raises:
        OSError: the address can't be had.
    """
    bound = bind_tcp(host, port, reuse_port=reuse_port)
    try:
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def bind_tcp(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """Returns a socket that holds an address without listening.

    Args:
        host: Name or address; empty for all.
        port: 0 takes any free one.
        reuse_port: Share the port with other sockets that do so too.

    Raises:
        OSError: the address can't be had.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6 and host in ("", "::"):
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def bind_unix(path: str) -> socket.socket:
    """Returns a socket bound to a path, in the place of one that a killed process left.

    Raises:
        OSError: the path can't be had.
    """
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
    except OSError:
        bound.close()
        raise
    return bound


def is_local(address: Any) -> bool:
    """Tells whether a peer is on this machine, by the address that its socket gives."""
    if not isinstance(address, tuple):
        return True  # a unix socket
    try:
        found = ipaddress.ip_address(address[0].partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def grpc_name(address: Any) -> str:
    """Returns a peer's address, as its socket gives it, as gRPC writes it."""
    if not isinstance(address, tuple) or len(address) < 2:
        return "unix:"
    is_v6 = ":" in address[0]
    host = f"[{address[0]}]" if is_v6 else address[0]
    return f"{'ipv6' if is_v6 else 'ipv4'}:{host}:{address[1]}"
