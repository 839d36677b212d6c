"""JAX (func, params) to verified, versioned SavedModels.

Example:
    import exporter

    exporter.export(func, params, example_inputs, "models/my_model")

The version takes any batch size, is the next one of its model, and appears only if its answers
are JAX's. Importing this package, and exporting, changes nothing else in the process: no
environment variable, no device and no stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artifact.manifest import Tolerance
    from exporter.errors import CheckFailed, UserError
    from exporter.model import Examples, Model, Signature, TensorSpec
    from exporter.model.from_function import model_from_function
    from exporter.model.processed import (
        Classes,
        Feature,
        ImageFile,
        ProcessedSignature,
        Value,
    )
    from exporter.publish.export import export, export_model
    from exporter.publish.options import ExportOptions
    from wire.methods import CLASSIFY, PREDICT, REGRESS

__all__ = [
    "CLASSIFY",
    "PREDICT",
    "REGRESS",
    "CheckFailed",
    "Classes",
    "Examples",
    "ExportOptions",
    "Feature",
    "ImageFile",
    "Model",
    "ProcessedSignature",
    "Signature",
    "TensorSpec",
    "Tolerance",
    "UserError",
    "Value",
    "export",
    "export_model",
    "model_from_function",
]

_HOMES = {
    "exporter.errors": ("CheckFailed", "UserError"),
    "exporter.model": ("Examples", "Model", "Signature", "TensorSpec"),
    "exporter.model.from_function": ("model_from_function",),
    "exporter.model.processed": ("Classes", "Feature", "ImageFile", "ProcessedSignature", "Value"),
    "exporter.publish.export": ("export", "export_model"),
    "exporter.publish.options": ("ExportOptions",),
    "artifact.manifest": ("Tolerance",),
    "wire.methods": ("CLASSIFY", "PREDICT", "REGRESS"),
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for, so that importing the package alone costs nothing."""
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
