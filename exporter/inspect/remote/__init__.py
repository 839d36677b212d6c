"""A model server as the exporter asks it: states, signatures and answers, by REST or gRPC."""

from __future__ import annotations

from exporter.inspect.remote.connection import connect
from exporter.inspect.remote.server import Refusal, Server, Unreachable, VersionState

__all__ = ["Refusal", "Server", "Unreachable", "VersionState", "connect"]
