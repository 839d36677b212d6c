"""What is exported: a pure function with its parameters, and what it takes."""

from exporter.model.model import (
    SERVING_DEFAULT,
    Examples,
    Model,
    PyTree,
    Signature,
    TensorSpec,
)

__all__ = ["SERVING_DEFAULT", "Examples", "Model", "PyTree", "Signature", "TensorSpec"]
