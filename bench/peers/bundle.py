"""A version's program in two files that need nothing of this project.

The peers' environments have other versions of protobuf than ours, so the peers read these.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_PROGRAM, _PARAMETERS = "program.jax_export", "parameters.npz"


def write(version_dir: Path, folder: Path) -> None:
    """Writes the default signature's program, for any batch size, and its parameters."""
    from artifact import portable, variables, versions
    from artifact.manifest import Manifest

    found = Manifest.read(version_dir)
    program = found.signatures["serving_default"].program
    assert program is not None, f"{version_dir} has no JAX program"
    (file,) = (file for file in program.files if file.batch_size is None)
    content = (version_dir / versions.EXTRA / file.file).read_bytes()
    # The peers know jax.export alone.
    exported = portable.read(content, file.module, found.parameters)
    (folder / _PROGRAM).write_bytes(exported.serialize())
    bundle = variables.Bundle(version_dir / versions.VARIABLES)
    arrays = {f"{n:06d}": bundle.read(p.key) for n, p in enumerate(found.parameters)}
    np.savez(folder / _PARAMETERS, **arrays)  # type: ignore[arg-type]


def load(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the jitted program as a function from rows to the first output's rows."""
    import jax
    import jax.export

    program = jax.export.deserialize(bytearray((folder / _PROGRAM).read_bytes()))
    with np.load(folder / _PARAMETERS) as arrays:
        parameters = [jax.device_put(arrays[name]) for name in sorted(arrays.files)]
    function: Any = jax.jit(program.call)

    def run(rows: np.ndarray) -> np.ndarray:
        return np.asarray(function(parameters, [rows])[0])

    return run


def arguments() -> tuple[str, Path, int]:
    """Returns what a peer's command line says: the model's name, the bundle, the port."""
    name, folder, port = sys.argv[1:]
    return name, Path(folder), int(port)
