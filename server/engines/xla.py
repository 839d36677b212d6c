"""Our own exports: the version's JAX program, straight through PJRT."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from artifact import compilation_cache, program, variables
from artifact.manifest import Manifest, ManifestError
from server.engines.engine import EngineOptions
from server.errors import Code, ServingError, invalid
from wire import dtypes

logger = logging.getLogger(__name__)


class XlaEngine:
    """A version as compiled programs, with its parameters on the device once."""

    name = "xla"
    compiles_sizes = True

    def __init__(
        self,
        path: Path,
        options: EngineOptions,
        functions: program.Functions | None = None,
        manifest: Manifest | None = None,
    ) -> None:
        """Loads programs and parameters, and compiles the batch sizes of a fixed export.

        Any other shape is compiled when it is first run: the warm-up records' before the version
        is available. What a version among `functions` has compiled already isn't compiled again.

        Args:
            path: The version's directory.
            options: How it is loaded.
            functions: Programs of the other versions.
            manifest: The version's, where it has been read already.

        Raises:
            UnrunnableError: this JAX can't run the version's programs.
            ServingError: the version isn't one of ours, or is damaged.
        """
        if options.compilation_cache is not None:
            _use_cache(options.compilation_cache)
        try:
            found = manifest or Manifest.read(path)
            self._signatures = found.signatures
            self._programs = program.load_all(path, functions=functions, found=found)
        except FileNotFoundError as error:
            raise ServingError(
                Code.FAILED_PRECONDITION, f"the xla engine serves this exporter's versions: {error}"
            ) from None
        except (ManifestError, variables.BundleError, KeyError, OSError) as error:
            raise ServingError(Code.DATA_LOSS, f"{path}: {error}") from None
        for entry in self._programs.values():
            entry.read()
        for signature, entry in self._programs.items():
            for batch_size in entry.batch_sizes or ():
                self._run_once(signature, batch_size)

    def batch_sizes(self, signature: str) -> Sequence[int] | None:
        """Returns the sizes that the signature was exported for; None: any."""
        return self._program(signature).batch_sizes

    def has_one_batch(self, signature: str) -> bool:
        """Whether all open leading axes of the signature's inputs have one name."""
        entry = self._signatures.get(signature)
        if entry is None:  # what initialises a SavedModel
            return True
        opened = {name for name, t in entry.inputs.items() if t.shape and t.shape[0] is None}
        return opened <= set(entry.batched_inputs)

    def is_ready(self, signature: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether inputs of these shapes run, or are refused, without being compiled before."""
        entry = self._programs.get(signature)
        return (
            entry is None
            or self._problem(signature, shapes) is not None
            or entry.is_compiled(shapes)
        )

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Runs a signature; JAX lets go of the GIL while it computes."""
        entry = self._program(signature)
        problem = self._problem(signature, {name: a.shape for name, a in inputs.items()})
        if problem is not None:
            raise invalid(problem)
        try:
            values = entry.run(inputs)
        except program.UnrunnableError as error:
            raise ServingError(Code.FAILED_PRECONDITION, str(error)) from None
        except program.ProgramError as error:
            raise invalid(f"signature {signature}: {error}") from None
        return {name: values[name] for name in outputs}

    def close(self) -> None:
        """Drops programs and parameters, which go with the last call that uses them."""
        self._programs = {}

    def _run_once(self, signature: str, batch_size: int) -> None:
        inputs = {}
        for name, tensor in self._signatures[signature].inputs.items():
            shape = [size for size in tensor.shape[1:] if size is not None]
            if len(shape) < len(tensor.shape) - 1:
                return  # which sizes will come is anyone's guess
            inputs[name] = np.zeros((batch_size, *shape), dtypes.numpy_dtype(tensor.dtype))
        self._programs[signature].run(inputs)

    def _program(self, signature: str) -> program.Program:
        try:
            return self._programs[signature]
        except KeyError:
            raise ServingError(
                Code.FAILED_PRECONDITION, f'signature "{signature}" has no JAX program'
            ) from None

    def _problem(self, signature: str, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
        """What is wrong with shapes, before JAX says it; the program knows its batch sizes."""
        batch_sizes = set()
        entry = self._signatures[signature]
        for name, tensor in entry.inputs.items():
            shape = shapes[name]
            batched = name in entry.batched_inputs
            wanted = (None, *tensor.shape[1:]) if batched else tensor.shape
            if len(shape) != len(wanted) or any(
                size == 0 if want is None else size != want
                for want, size in zip(wanted, shape, strict=True)
            ):
                want = ",".join("?" if size is None else str(size) for size in tensor.shape)
                return (
                    f'input "{name}" has shape {list(shape)}, signature {signature} takes [{want}]'
                )
            if batched:
                batch_sizes.add(shape[0])
        if len(batch_sizes) > 1:
            return f"inputs of signature {signature} differ in their batch size"
        return None


_cache_lock = threading.Lock()


def _use_cache(directory: Path) -> None:
    with _cache_lock:  # versions may be loaded at the same time
        _use_cache_once(directory)


@functools.cache
def _use_cache_once(directory: Path) -> None:
    """Keeps compiled programs; a cache that isn't safe, or can't be had, is no reason to fail."""
    try:
        compilation_cache.use(directory)
    except (compilation_cache.UnsafeCacheError, OSError) as error:
        logger.warning(
            "compiled programs are neither kept nor read: %s; see --compilation_cache_dir", error
        )


def servable(found: Manifest | None) -> frozenset[str]:
    """Returns the signatures of a version that have a program for a device of this machine.

    None of a version without a manifest.
    """
    if found is None:
        return frozenset()
    programs = [name for name, entry in found.signatures.items() if entry.program is not None]
    if not programs:
        return frozenset()
    try:
        program.device_for(found.platforms)
    except (ModuleNotFoundError, program.UnrunnableError):
        return frozenset()
    return frozenset(programs)
