"""Which engine serves a version."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from artifact import program
from artifact.manifest import Manifest
from server.engines import signatures, tflite, xla
from server.engines.engine import Engine, EngineOptions
from server.engines.signatures import Signatures
from server.engines.split import SplitEngine
from server.errors import Code, ServingError

logger = logging.getLogger(__name__)


def load(
    path: Path,
    options: EngineOptions,
    functions: program.Functions,
    manifest: Manifest | None = None,
) -> tuple[Engine, Signatures]:
    """Loads a version and reads its signatures.

    TensorFlow Lite models go to `tflite` where that is preferred, our own exports to `xla`, with
    `tensorflow` beside it for signatures that are more than a JAX program, all others to
    `tensorflow`, unless an engine is forced. So does an export of ours that JAX can't run here.

    Args:
        path: The version's directory.
        options: How it is loaded.
        functions: Those of the other versions.
        manifest: The version's; None where it has none that can be read.

    Raises:
        ServingError: the version can't be loaded, or its engine isn't installed.
    """
    if options.prefer_tflite and (path / tflite.FILE).is_file():
        lite = tflite.TfliteEngine(path)
        return lite, lite.signatures()
    found = signatures.read(path, options.tags)
    programs = xla.servable(manifest) if options.engine == "auto" else frozenset()
    # What initialises a SavedModel is a signature, too, but has no method name.
    servable = {name for name, entry in found.by_name.items() if entry.method_name}
    if options.engine == "xla":
        try:
            return xla.XlaEngine(path, options, functions, manifest), found
        except program.UnrunnableError as error:
            raise ServingError(Code.FAILED_PRECONDITION, f"{path}: {error}") from None
    if not programs:
        return _tensorflow(path, found, options), found
    # What is served through XLA anyway needs nobody's leave for it.
    anyway = replace(options, xla_compilation=True)
    try:
        engine = xla.XlaEngine(path, options, functions, manifest)
    except program.UnrunnableError as error:
        logger.warning("%s: %s; the tensorflow engine serves it", path, error)
        return _tensorflow(path, found, anyway, f"{error}; or"), found
    if programs >= servable:
        return engine, found
    return SplitEngine(engine, programs, _tensorflow(path, found, anyway)), found


def _tensorflow(
    path: Path,
    found: Signatures,
    options: EngineOptions,
    why: str = "it needs the tensorflow engine:",
) -> Engine:
    try:
        from server.engines.tensorflow import TensorFlowEngine

        return TensorFlowEngine(path, found, options)
    except ModuleNotFoundError as missing:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"{path}: {why} pip install tensorflow, which can serve it ({missing})",
        ) from None
