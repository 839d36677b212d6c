"""Which version of which model a call is for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """A model, and a version of it by number or by label; neither is the latest one.

    Source of the name: tensorflow_serving/apis/model.proto.

    Attributes:
        model: Name in the server.
        version: Number, or None.
        label: Version label such as `"stable"`, or None.
    """

    model: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.label is not None:
            raise ValueError("give a version or a label, not both")

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.model}/{self.version}"
        return f"{self.model}:{self.label}" if self.label else self.model
