"""What can't be lowered, and where in the user's code it stands."""

from __future__ import annotations

from exporter.errors import UserError


class UnsupportedPrimitive(UserError):
    """A primitive of the model has no rule here, or none for its parameters.

    Attributes:
        primitive: JAX's name of it.
        reason: What is missing.
        source: The user's line; empty where only an enclosing equation knows it.
    """

    def __init__(self, primitive: str, reason: str, source: str) -> None:
        super().__init__(f"{primitive} (at {source or 'an unknown line'}): {reason}")
        self.primitive, self.reason, self.source = primitive, reason, source


class UnsupportedForm(Exception):
    """A rule meets parameters that it has no lowering for; the interpreter adds the place."""
