"""The models that the exporter knows by name; each is one module and one line here."""

from __future__ import annotations

from importlib import import_module

from exporter.errors import UserError
from exporter.training.models.definition import ModelDefinition

__all__ = ["ModelDefinition", "get", "names"]

# Module paths, not modules: a command line lists the names without importing jax.
_MODULES = {
    "mnist_flax": "exporter.training.models.mnist_flax",
    "mnist_pure_jax": "exporter.training.models.mnist_pure_jax",
    "quickdraw": "exporter.training.models.quickdraw",
}


def names() -> tuple[str, ...]:
    """The names of the models, sorted."""
    return tuple(sorted(_MODULES))


def get(name: str) -> ModelDefinition:
    """The model of that name.

    Raises:
        UserError: There is none.
    """
    if name not in _MODULES:
        raise UserError(f"model {name!r} is none of {', '.join(names())}")
    definition: ModelDefinition = import_module(_MODULES[name]).DEFINITION
    return definition
