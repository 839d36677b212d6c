"""The version's own JAX program: the exported function with its parameters, run through PJRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artifact import manifest, variables, versions
from artifact.errors import ModuleError
from artifact.function import Function, Functions, enable_64_bits
from wire.dtypes import numpy_dtype

# What an export's platforms are called, by JAX's name of a backend.
_PLATFORMS = {"gpu": ("cuda", "rocm")}


class ProgramError(ValueError):
    """A version without a usable program for what was asked."""


class UnrunnableError(ProgramError):
    """A version whose program this JAX, or this machine, can't run."""


class Program:
    """One signature of a version as a function of named arrays, in JAX."""

    def __init__(
        self,
        signature: manifest.SignatureRecord,
        functions: Mapping[int | None, Function],
        parameters: list[Any],
        writer: str = "another JAX",
    ) -> None:
        """Takes functions by batch size (None: any); `load` is the usual way to one.

        Args:
            signature: What the program computes.
            functions: By batch size; None: any.
            parameters: Flat, on the functions' device.
            writer: The JAX that wrote the functions, for messages.
        """
        assert signature.program is not None
        self._signature = signature
        self._program = signature.program
        self._functions = functions
        self._parameters = parameters
        self._writer = writer

    @property
    def parameters(self) -> list[Any]:
        """The flat parameters, in JAX."""
        return self._parameters

    def with_parameters(self, parameters: list[Any]) -> Program:
        """Returns the same functions of other parameters."""
        return Program(self._signature, self._functions, parameters, self._writer)

    @property
    def batch_sizes(self) -> list[int] | None:
        """The batch sizes that the version was exported for; None where any will do."""
        if None in self._functions:
            return None
        return sorted(size for size in self._functions if size is not None)

    def read(self) -> None:
        """Reads the functions, which is else done when they are first called.

        Raises:
            UnrunnableError: this JAX can't run one of them.
        """
        for function in self._functions.values():
            try:
                function.read()
            except ModuleError as error:
                raise self._unrunnable(error) from error

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns JAX's outputs by name for inputs by name; leading axis the batch.

        Raises:
            ProgramError: an input is missing, or no program takes this batch size.
            UnrunnableError: this JAX can't run the program.
        """
        try:
            arrays = [np.asarray(inputs[name]) for name in self._program.input_names]
        except KeyError as missing:
            raise ProgramError(f"missing input {missing}") from None
        function = self._function(self._signature.batch_size(inputs))
        try:
            outputs = function(self._parameters, arrays)
        except ModuleError as error:
            raise self._unrunnable(error) from error
        return dict(zip(self._program.output_names, map(np.asarray, outputs), strict=True))

    def is_compiled(self, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Tells whether inputs of these shapes, by name, have been run or compiled before.

        Where no program takes them, there is nothing to compile, either.
        """
        sizes = [shapes[name][0] for name in self._signature.batched_inputs]
        function = self._functions.get(sizes[0] if sizes else None) or self._functions.get(None)
        names = self._program.input_names
        dtypes = (self._signature.inputs[name].dtype for name in names)
        return function is None or function.is_compiled(
            [(shapes[name], numpy_dtype(dtype)) for name, dtype in zip(names, dtypes, strict=True)]
        )

    def _function(self, batch_size: int | None) -> Function:
        function = self._functions.get(batch_size) or self._functions.get(None)
        if function is None:
            raise ProgramError(f"exported for batch sizes {self.batch_sizes}, not {batch_size}")
        return function

    def _unrunnable(self, error: Exception) -> UnrunnableError:
        import jax

        return UnrunnableError(
            f"JAX {jax.__version__} can't run this version's program, which {self._writer} wrote: "
            f"{error}; install that JAX or a later one, or export the version again"
        )


def device_for(platforms: Sequence[str]) -> Any:
    """Returns the device that a version of these platforms runs on; None: JAX's default one.

    It is the default one where the version runs there; else the first that this machine has of
    the version's platforms, in their order: a version for the CPU runs on the CPU beside a GPU.

    Raises:
        UnrunnableError: this machine has none of the platforms.
    """
    import jax

    backend = jax.default_backend()
    if set(platforms) & set(_PLATFORMS.get(backend, (backend,))):
        return None
    for platform in platforms:
        try:
            return jax.local_devices(backend=platform)[0]
        except RuntimeError:  # JAX has no such backend here
            continue
    raise UnrunnableError(f"it runs on {', '.join(platforms)}, JAX has {backend} here")


def load_all(
    version_dir: Path,
    *,
    device: Any = None,
    functions: Functions | None = None,
    found: manifest.Manifest | None = None,
) -> dict[str, Program]:
    """Loads the programs of all signatures that have one, sharing the version's parameters.

    The parameters are copied from the files, so that a file which somebody truncates later
    can't reach a process that serves from it.

    Args:
        version_dir: A published version.
        device: A `jax.Device` to run on; what `device_for` says where None.
        found: The version's manifest, where it has been read already.
        functions: Where versions that live at the same time find each other's programs.

    Raises:
        FileNotFoundError: the version has no manifest.
        UnrunnableError: this machine has none of the version's platforms.
        variables.BundleError: the variables are damaged.
    """
    import jax

    shared = functions or Functions()
    found = found or manifest.Manifest.read(version_dir)
    if device is None:
        device = device_for(found.platforms)
    bundle = variables.Bundle(version_dir / versions.VARIABLES)
    with enable_64_bits():
        parameters = [
            jax.device_put(np.array(bundle.read(p.key), np.dtype(p.dtype)), device)
            for p in found.parameters
        ]
    extra = version_dir / versions.EXTRA
    writer = f"JAX {found.versions['jax']}" if "jax" in found.versions else "another JAX"
    return {
        name: Program(
            entry,
            {
                file.batch_size: shared.load(
                    extra / file.file, file.module, found.parameters, device
                )
                for file in entry.program.files
            },
            parameters,
            writer,
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
