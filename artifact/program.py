"""The version's own JAX program: the exported function with its parameters, run through PJRT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from artifact import manifest, variables, versions


class ProgramError(ValueError):
    """A version without a usable program for what was asked."""


class Program:
    """One signature of a version as a function of named arrays, in JAX."""

    def __init__(
        self,
        signature: manifest.Signature,
        files: Mapping[int | None, Path],
        parameters: list[Any],
    ) -> None:
        """Takes programs by batch size (None: any); `load` is the usual way to one."""
        assert signature.program is not None
        self._signature = signature
        self._program = signature.program
        self._files = files
        self._parameters = parameters
        self._functions: dict[int | None, Any] = {}

    @property
    def batch_sizes(self) -> list[int] | None:
        """The batch sizes that the version was exported for; None where any will do."""
        return None if None in self._files else sorted(s for s in self._files if s is not None)

    def function(self, batch_size: int | None) -> Any:
        """Returns the jitted `(parameters, inputs) -> outputs` (lists) for a batch size.

        Raises:
            ProgramError: the version wasn't exported for this batch size.
        """
        import jax

        key = batch_size if batch_size in self._files else None
        if key not in self._files:
            raise ProgramError(f"exported for batch sizes {self.batch_sizes}, not {batch_size}")
        if key not in self._functions:
            exported = jax.export.deserialize(bytearray(self._files[key].read_bytes()))
            self._functions[key] = jax.jit(exported.call)
        return self._functions[key]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns JAX's outputs by name for inputs by name; leading axis the batch.

        Raises:
            ProgramError: an input is missing, or no program takes this batch size.
        """
        try:
            arrays = [np.asarray(inputs[name]) for name in self._program.input_names]
        except KeyError as missing:
            raise ProgramError(f"missing input {missing}") from None
        outputs = self.function(self._signature.batch_size(inputs))(self._parameters, arrays)
        return dict(zip(self._program.output_names, map(np.asarray, outputs), strict=True))


def load_all(version_dir: Path, *, device: Any = None) -> dict[str, Program]:
    """Loads the programs of all signatures that have one, sharing the version's parameters.

    The parameters are copied from the files, so that a file which somebody truncates later
    can't reach a process that serves from it.

    Args:
        version_dir: A published version.
        device: A `jax.Device` for the parameters; JAX's default where None.

    Raises:
        FileNotFoundError: the version has no manifest.
        variables.BundleError: the variables are damaged.
    """
    import jax

    found = manifest.Manifest.read(version_dir)
    bundle = variables.Bundle(version_dir / versions.VARIABLES)
    parameters = [jax.device_put(np.array(bundle.read(p.key)), device) for p in found.parameters]
    extra = version_dir / versions.EXTRA
    return {
        name: Program(
            entry, {f.batch_size: extra / f.file for f in entry.program.files}, parameters
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
