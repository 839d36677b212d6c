"""Which paths need no token, and which need more than one that lets a client ask."""

from __future__ import annotations

import re

# Probes carry no secret and are told none: these answer without the names of models.
OPEN = frozenset(
    {
        "/healthz",
        "/readyz",
        "/v2/health/live",
        "/v2/health/ready",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    }
)
_AREAS = ("/tensorflow.", "/inference.", "/v2/repository/")  # where admin paths begin
_ADMIN = re.compile(
    r"/tensorflow\.serving\.ModelService/HandleReloadConfigRequest"
    r"|/tensorflow\.ProfilerService/.*"
    r"|/inference\.GRPCInferenceService/RepositoryModel(Load|Unload)"
    r"|/v2/repository/.*/(load|unload)",
    re.DOTALL,
)


def is_admin(path: str) -> bool:
    """Tells whether a request to this path changes what the server serves or does.

    A profile slows the process down and shows what others ask of it.
    """
    return path.startswith(_AREAS) and _ADMIN.fullmatch(path) is not None
