"""Which engine serves a version."""

from __future__ import annotations

from pathlib import Path

from artifact import program
from server import signatures
from server.engines import tflite, xla
from server.engines.engine import Engine, EngineOptions
from server.errors import Code, ServingError
from server.signatures import Signatures


def load(
    path: Path, options: EngineOptions, functions: program.Functions
) -> tuple[Engine, Signatures]:
    """Loads a version and reads its signatures; `functions` has those of the other versions.

    TensorFlow Lite models go to `tflite` where that is preferred, our own exports to `xla`, all
    others to `tensorflow`, unless an engine is forced.

    Raises:
        ServingError: the version can't be loaded, or its engine isn't installed.
    """
    if options.prefer_tflite and (path / tflite.FILE).is_file():
        engine = tflite.TfliteEngine(path)
        return engine, engine.signatures()
    found = signatures.read(path, options.tags)
    if options.engine == "xla" or (options.engine == "auto" and xla.can_serve(path)):
        return xla.XlaEngine(path, options, functions), found
    try:
        from server.engines.tensorflow import TensorFlowEngine

        return TensorFlowEngine(path, found, options), found
    except ModuleNotFoundError as missing:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"{path} needs the tensorflow engine ({missing}); get it with: pip install tensorflow",
        ) from None
