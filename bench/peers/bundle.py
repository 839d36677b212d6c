"""A version's program in three files that need nothing of this project.

The peers' environments have other versions of protobuf than ours, so the peers read these.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_PROGRAM, _PARAMETERS, _ABOUT = "program.jax_export", "parameters.npz", "about.json"
_CACHE = "compiled"
_SIGNATURE = "serving_default"
# Batch sizes that are compiled before a peer is ready. What comes is padded to the next of them,
# and what is more is cut, so that no request waits for a compiler.
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Tensor:
    """An input or output.

    Attributes:
        name: In the signature.
        dtype: NumPy's name.
        shape: None where a size is open, the batch first.
        datatype: What the Open Inference Protocol calls its dtype.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    datatype: str


@dataclass(frozen=True)
class About:
    """What the program takes and gives; reading it needs no JAX.

    Attributes:
        input: Its one input.
        output: Its first output.
        example: The shape of a row of the input, every size known.
        sizes: The batch sizes that are compiled, ascending.
    """

    input: Tensor
    output: Tensor
    example: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def read(cls, folder: Path) -> About:
        """Reads what `write` wrote."""
        found = json.loads((folder / _ABOUT).read_text())
        tensors = {side: _tensor(found[side]) for side in ("input", "output")}
        return cls(**tensors, example=tuple(found["example"]), sizes=tuple(found["sizes"]))

    def from_bytes(self, body: bytes, count: int) -> np.ndarray:
        """Returns the rows of a raw request; one size of a row may be open."""
        row = (-1 if size is None else size for size in self.input.shape[1:])
        return np.frombuffer(body, self.input.dtype).reshape(count, *row)

    def from_json(self, document: Any) -> np.ndarray:
        """Returns the rows of TensorFlow Serving's JSON."""
        return np.asarray(document["instances"], self.input.dtype)


class Program:
    """The jitted program, for any number of rows. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Reads what `write` wrote."""
        import jax
        import jax.export

        # A peer's workers are processes: the first compiles, the others read.
        jax.config.update("jax_compilation_cache_dir", str(folder / _CACHE))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        self.about = About.read(folder)
        program = jax.export.deserialize(bytearray((folder / _PROGRAM).read_bytes()))
        with np.load(folder / _PARAMETERS) as arrays:
            self._parameters = [jax.device_put(arrays[name]) for name in sorted(arrays.files)]
        self._function: Any = jax.jit(program.call)

    def warm_up(self) -> Program:
        """Compiles all batch sizes, for rows of the example's shape; returns the program."""
        for size in self.about.sizes:
            self._call(np.zeros((size, *self.about.example), self.about.input.dtype))
        return self

    def run(self, rows: np.ndarray) -> np.ndarray:
        """Returns the output's rows for any number of rows of the input."""
        largest = self.about.sizes[-1]
        if len(rows) <= largest:
            return self._padded(rows)
        parts = (rows[at : at + largest] for at in range(0, len(rows), largest))
        return np.concatenate([self._padded(part) for part in parts])

    def run_each(self, requests: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the output's rows for each of several requests, run together.

        Rows of different shapes don't go together: each shape is run by itself.
        """
        shapes: dict[tuple[int, ...], list[int]] = {}
        for number, rows in enumerate(requests):
            shapes.setdefault(rows.shape[1:], []).append(number)
        found: list[Any] = [None] * len(requests)
        for numbers in shapes.values():
            parts = [requests[number] for number in numbers]
            outputs = self.run(parts[0] if len(parts) == 1 else np.concatenate(parts))
            ends = np.cumsum([len(part) for part in parts])
            for number, part in zip(numbers, np.split(outputs, ends[:-1]), strict=True):
                found[number] = part
        return found

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        count = len(rows)
        size = next(size for size in self.about.sizes if size >= count)
        if size > count:
            rows = np.concatenate([rows, np.repeat(rows[:1], size - count, 0)])
        return self._call(rows)[:count]

    def _call(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._function(self._parameters, [rows])[0])


def write(version_dir: Path, folder: Path, sizes: Sequence[int] = SIZES) -> None:
    """Writes the default signature's program, for any batch size, its parameters and its tensors.

    Args:
        version_dir: A version that was exported for any batch size, with one input.
        folder: Where to.
        sizes: The batch sizes that peers compile.

    Raises:
        ValueError: the version has several inputs, or no program for any batch size.
    """
    from artifact import golden, portable, variables, versions
    from artifact.manifest import Manifest
    from wire import datatypes

    found = Manifest.read(version_dir)
    signature = found.signatures[_SIGNATURE]
    program = signature.program
    files = [file for file in program.files if file.batch_size is None] if program else []
    if program is None or not files or len(program.input_names) != 1:
        raise ValueError(f"{version_dir}: peers take one input and a program for any batch size")
    content = (version_dir / versions.EXTRA / files[0].file).read_bytes()
    # The peers know jax.export alone.
    exported = portable.read(content, files[0].module, found.parameters)
    (folder / _PROGRAM).write_bytes(exported.serialize())
    bundle = variables.Bundle(version_dir / versions.VARIABLES)
    arrays = {f"{n:06d}": bundle.read(p.key) for n, p in enumerate(found.parameters)}
    np.savez(folder / _PARAMETERS, **arrays)  # type: ignore[arg-type]
    examples = next(c for (name, _), c in golden.read(version_dir).items() if name == _SIGNATURE)
    (name,) = program.input_names

    def about(name: str, tensors: Any) -> dict[str, Any]:
        dtype, shape = tensors[name].dtype, tensors[name].shape
        return {
            "name": name,
            "dtype": dtype,
            "shape": shape,
            "datatype": datatypes.datatype(dtype),
        }

    document = {
        "input": about(name, signature.inputs),
        "output": about(program.output_names[0], signature.outputs),
        "example": examples.inputs[name].shape[1:],
        "sizes": sorted(sizes),
    }
    (folder / _ABOUT).write_text(json.dumps(document, indent=1))


def arguments() -> tuple[str, Path, dict[str, int]]:
    """Returns what a peer's command line says: the model's name, the bundle, the ports by kind."""
    name, folder, *ports = sys.argv[1:]
    return (
        name,
        Path(folder),
        {kind: int(port) for kind, _, port in (p.partition("=") for p in ports)},
    )


def _tensor(about: dict[str, Any]) -> Tensor:
    return Tensor(**{**about, "shape": tuple(about["shape"])})
