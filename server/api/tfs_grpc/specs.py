"""ModelSpec messages as the core's specs."""

from __future__ import annotations

from typing import Any

from server.errors import invalid
from server.inference.core import ModelSpec


def model_spec(message: Any) -> ModelSpec:
    """Returns the spec in a request, or in a task of one.

    Raises:
        ServingError: INVALID_ARGUMENT where the message has none.
    """
    if not message.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = message.model_spec
    choice = spec.WhichOneof("version_choice")
    return ModelSpec(
        spec.name,
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else "",
        spec.signature_name,
    )
