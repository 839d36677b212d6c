"""gRPC channel arguments: those that mean something here.

Source: https://grpc.github.io/grpc/core/group__grpc__arg__keys.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.protocol.http2.options import Http2Options
from server.protocol.limits import Limits

_MAX_MESSAGE_BYTES = 2**31 - 1
_MIN_HEADER_BYTES = 1024


def limits(arguments: Mapping[str, Any], found: Limits) -> Limits:
    """Returns limits with what arguments say: sizes of messages and metadata, idle connections."""
    if "grpc.max_receive_message_length" in arguments:
        size = int(arguments["grpc.max_receive_message_length"])
        found = replace(found, message_bytes=size if size >= 0 else _MAX_MESSAGE_BYTES)
    if "grpc.max_metadata_size" in arguments:
        size = max(int(arguments["grpc.max_metadata_size"]), _MIN_HEADER_BYTES)
        found = replace(found, header_bytes=size)
    if "grpc.max_connection_idle_ms" in arguments:
        found = replace(found, idle_s=int(arguments["grpc.max_connection_idle_ms"]) / 1000)
    return found


def http2(arguments: Mapping[str, Any]) -> Http2Options:
    """Returns what arguments say of HTTP/2 itself: streams, keepalive."""
    found = Http2Options()
    if "grpc.max_concurrent_streams" in arguments:
        found = replace(found, streams=max(int(arguments["grpc.max_concurrent_streams"]), 1))
    if "grpc.keepalive_time_ms" in arguments:
        found = replace(found, keepalive_s=int(arguments["grpc.keepalive_time_ms"]) / 1000)
    if "grpc.keepalive_timeout_ms" in arguments:
        seconds = int(arguments["grpc.keepalive_timeout_ms"]) / 1000
        found = replace(found, keepalive_timeout_s=seconds)
    return found
