"""JAX (func, params) to verified, versioned SavedModels.

from exporter import ExportOptions, export
version_dir = export(model, "models", ExportOptions(version="auto"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.model import Examples, Model, TensorSpec
    from exporter.options import ExportOptions
    from exporter.pipeline import export

__all__ = ["Examples", "ExportOptions", "Model", "TensorSpec", "export"]

_HOMES = {"export": "pipeline", "ExportOptions": "options"}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, so that importing the package alone costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'model')}"), name)
