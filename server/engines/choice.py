"""Which engine serves a version."""

from __future__ import annotations

from pathlib import Path

from server.engines import xla
from server.engines.engine import Engine, EngineOptions
from server.errors import Code, ServingError
from server.signatures import Signatures

NAMES = ("auto", "xla", "tensorflow")


def load(path: Path, signatures: Signatures, options: EngineOptions) -> Engine:
    """Loads a version: our own exports with `xla`, all others with `tensorflow`, unless forced.

    Raises:
        ServingError: the version can't be loaded, or its engine isn't installed.
    """
    if options.engine == "xla" or (options.engine == "auto" and xla.can_serve(path)):
        return xla.XlaEngine(path, options)
    try:
        from server.engines.tensorflow import TensorFlowEngine

        return TensorFlowEngine(path, signatures, options)
    except ModuleNotFoundError as missing:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"{path} needs the tensorflow engine ({missing}); get it with: pip install tensorflow",
        ) from None
