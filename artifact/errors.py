"""What can be wrong with a program, known without JAX."""

from __future__ import annotations


class ModuleError(ValueError):
    """A module that this JAX's StableHLO can't read, or that another version can't express."""
