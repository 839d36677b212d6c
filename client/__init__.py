"""Talk to TensorFlow Serving, or to this project's server, without TensorFlow.

Example:
    with Client("localhost", 8500, api="grpc") as client:
        client.wait_until_ready("mnist_flax")
        prediction = client.predict("mnist_flax", images)
    prediction.outputs["output_0"], prediction.version
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.async_client import AsyncClient
    from client.client import Client
    from client.errors import ServingError, Unavailable
    from client.probe import connect
    from client.results import Classification, Prediction, Regression, VersionStatus
    from client.retry import Retry
    from client.signature import ArraySpec, ServedSignature

__all__ = [
    "ArraySpec",
    "AsyncClient",
    "Classification",
    "Client",
    "Prediction",
    "Regression",
    "Retry",
    "ServingError",
    "ServedSignature",
    "Unavailable",
    "VersionStatus",
    "connect",
]
_HOMES = {
    "AsyncClient": "async_client",
    "Client": "client",
    "connect": "probe",
    "Retry": "retry",
    "ServingError": "errors",
    "Unavailable": "errors",
    "ArraySpec": "signature",
    "ServedSignature": "signature",
}  # the others are results


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `--help` needn't load NumPy."""
    if name not in __all__:
        raise AttributeError(f"module 'client' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"client.{_HOMES.get(name, 'results')}"), name)
