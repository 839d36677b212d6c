"""The version's own JAX program: the exported function with its parameters, run through PJRT."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artifact import manifest, variables, versions

_MAX_EXECUTABLES = 1024  # of one program; whoever sends ever new shapes may not fill the memory


class ProgramError(ValueError):
    """A version without a usable program for what was asked."""


class Function:
    """One exported function `(parameters, inputs) -> outputs`, compiled for each shape it meets.

    The executables are held here and nowhere else: `jax.clear_caches()` takes none of them away,
    and they go with the last version that has this program.
    """

    def __init__(self, serialized: bytes) -> None:
        self._serialized = serialized
        self._jitted: Any = None
        self._executables: dict[tuple[object, ...], Any] = {}
        self._lock = threading.Lock()

    def __call__(self, parameters: Sequence[Any], inputs: Sequence[np.ndarray]) -> Sequence[Any]:
        """Returns JAX's outputs in the program's order."""
        key = tuple((array.shape, array.dtype) for array in inputs)
        executable = self._executables.get(key)
        if executable is None:
            executable = self._compile(key, parameters, inputs)
        outputs: Sequence[Any] = executable(parameters, inputs)
        return outputs

    def _compile(
        self, key: tuple[object, ...], parameters: Sequence[Any], inputs: Sequence[np.ndarray]
    ) -> Any:
        with self._lock:
            if key not in self._executables:
                compiled = self._traceable().lower(parameters, inputs).compile()
                if len(self._executables) >= _MAX_EXECUTABLES:
                    del self._executables[next(iter(self._executables))]
                self._executables[key] = compiled
            return self._executables[key]

    def _traceable(self) -> Any:
        if self._jitted is None:
            import jax

            self._jitted = jax.jit(jax.export.deserialize(bytearray(self._serialized)).call)
        return self._jitted


class Functions:
    """Functions that versions share: a model that was only trained further compiles nothing."""

    def __init__(self) -> None:
        self._found: weakref.WeakValueDictionary[tuple[bytes, object], Function]
        self._found = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def load(self, path: Path, device: object = None) -> Function:
        """Returns the function in a file, the one that a living version has where there is one.

        Raises:
            OSError: the file can't be read.
        """
        serialized = path.read_bytes()
        key = (hashlib.sha256(serialized).digest(), device)
        with self._lock:
            function = self._found.get(key)
            if function is None:
                function = self._found[key] = Function(serialized)
            return function


class Program:
    """One signature of a version as a function of named arrays, in JAX."""

    def __init__(
        self,
        signature: manifest.SignatureRecord,
        functions: Mapping[int | None, Function],
        parameters: list[Any],
    ) -> None:
        """Takes functions by batch size (None: any); `load` is the usual way to one."""
        assert signature.program is not None
        self._signature = signature
        self._program = signature.program
        self._functions = functions
        self._parameters = parameters

    @property
    def parameters(self) -> list[Any]:
        """The flat parameters, in JAX."""
        return self._parameters

    def with_parameters(self, parameters: list[Any]) -> Program:
        """Returns the same functions of other parameters."""
        return Program(self._signature, self._functions, parameters)

    @property
    def batch_sizes(self) -> list[int] | None:
        """The batch sizes that the version was exported for; None where any will do."""
        if None in self._functions:
            return None
        return sorted(size for size in self._functions if size is not None)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns JAX's outputs by name for inputs by name; leading axis the batch.

        Raises:
            ProgramError: an input is missing, or no program takes this batch size.
        """
        try:
            arrays = [np.asarray(inputs[name]) for name in self._program.input_names]
        except KeyError as missing:
            raise ProgramError(f"missing input {missing}") from None
        outputs = self._function(self._signature.batch_size(inputs))(self._parameters, arrays)
        return dict(zip(self._program.output_names, map(np.asarray, outputs), strict=True))

    def _function(self, batch_size: int | None) -> Function:
        function = self._functions.get(batch_size) or self._functions.get(None)
        if function is None:
            raise ProgramError(f"exported for batch sizes {self.batch_sizes}, not {batch_size}")
        return function


def load_all(
    version_dir: Path, *, device: Any = None, functions: Functions | None = None
) -> dict[str, Program]:
    """Loads the programs of all signatures that have one, sharing the version's parameters.

    The parameters are copied from the files, so that a file which somebody truncates later
    can't reach a process that serves from it.

    Args:
        version_dir: A published version.
        device: A `jax.Device` for the parameters; JAX's default where None.
        functions: Where versions that live at the same time find each other's programs.

    Raises:
        FileNotFoundError: the version has no manifest.
        variables.BundleError: the variables are damaged.
    """
    import jax

    shared = functions or Functions()
    found = manifest.Manifest.read(version_dir)
    bundle = variables.Bundle(version_dir / versions.VARIABLES)
    parameters = [jax.device_put(np.array(bundle.read(p.key)), device) for p in found.parameters]
    extra = version_dir / versions.EXTRA
    return {
        name: Program(
            entry,
            {f.batch_size: shared.load(extra / f.file, device) for f in entry.program.files},
            parameters,
        )
        for name, entry in found.signatures.items()
        if entry.program is not None
    }


def load(version_dir: Path, signature: str = "serving_default", *, device: Any = None) -> Program:
    """Loads one signature's programs; see `load_all`.

    Raises:
        ProgramError: the signature is unknown, or has no program.
    """
    entry = manifest.Manifest.read(version_dir).signatures.get(signature)
    if entry is None or entry.program is None:
        raise ProgramError(f"{version_dir}: no JAX program for signature {signature}")
    return load_all(version_dir, device=device)[signature]
