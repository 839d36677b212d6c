"""gRPC channel arguments: those that mean something here.

Source: https://grpc.github.io/grpc/core/group__grpc__arg__keys.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.protocol.http2.limits import Limits

_MAX_MESSAGE_BYTES = 2**31 - 1


def max_message_bytes(arguments: Mapping[str, Any]) -> int:
    """Returns the size of the largest request; below zero stands for no limit."""
    limit = int(arguments.get("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES))
    return limit if limit >= 0 else _MAX_MESSAGE_BYTES


def limits(arguments: Mapping[str, Any]) -> Limits:
    """Returns a connection's limits."""
    found = Limits()
    if "grpc.max_concurrent_streams" in arguments:
        found = replace(found, streams=max(int(arguments["grpc.max_concurrent_streams"]), 1))
    if "grpc.max_metadata_size" in arguments:
        size = max(int(arguments["grpc.max_metadata_size"]), 1024)
        found = replace(found, header_bytes=size)
    return found
