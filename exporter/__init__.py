"""JAX (func, params) to verified, versioned SavedModels.

from exporter import ExportOptions, export, own_model
model = own_model("my_model", func, params, example_inputs)
version_dir = export(model, "models", ExportOptions(version="auto"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.model import Examples, Model, Signature, TensorSpec
    from exporter.model.user_function import own_model
    from exporter.publish.export import export
    from exporter.publish.options import ExportOptions
    from exporter.signatures import Classes, Feature, ImageFile, ProcessedSignature, Value

__all__ = [
    "Classes",
    "Examples",
    "ExportOptions",
    "Feature",
    "ImageFile",
    "Model",
    "ProcessedSignature",
    "Signature",
    "TensorSpec",
    "Value",
    "export",
    "own_model",
]

_HOMES = {
    "export": "publish.export",
    "ExportOptions": "publish.options",
    "own_model": "model.user_function",
    **dict.fromkeys(
        ("Classes", "Feature", "ImageFile", "ProcessedSignature", "Value"), "signatures"
    ),
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, so that importing the package alone costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'model')}"), name)
