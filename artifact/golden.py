"""Golden examples: inputs and the answers that JAX gave for them at export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from artifact import versions
from wire import dtypes

# NumPy's own file format forgets dtypes that aren't NumPy's own: such arrays are kept as their
# bits, and the entry's name says which dtype they are.
_BITS = "@bfloat16"
# Strings of any length, objects in NumPy, are kept as all bytes in a row and the length of each.
_BYTES, _LENGTHS = "@bytes", "@lengths"
_KINDS = ("inputs", "outputs", "leeway")
# The case of real inputs, where a model has some; the others are random, `batch_<n>`.
EXAMPLES = "examples"


@dataclass(frozen=True)
class GoldenCase:
    """Arrays by input and output name, leading axis the batch; labels int64 [N] or None.

    Attributes:
        leeway: How far JAX's own outputs move, by name, float64 of an output's shape; empty where
            they stay (see `artifact.comparison.difference`).
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    leeway: Mapping[str, np.ndarray] = field(default_factory=dict)


def write(version_dir: Path, cases: Mapping[tuple[str, str], GoldenCase]) -> None:
    """Writes cases by (signature, case) into a version's `assets.extra/golden.npz`."""
    entries: dict[str, np.ndarray] = {}
    for (signature, case), golden in cases.items():
        prefix = f"{signature}/{case}"
        for kind in _KINDS:
            for name, array in getattr(golden, kind).items():
                if array.dtype.kind == "O":
                    lengths = np.vectorize(len, otypes=[np.int64])(array)
                    entries[f"{prefix}/{kind}/{name}{_LENGTHS}"] = lengths
                    array = np.frombuffer(b"".join(array.ravel().tolist()), np.uint8)
                    name += _BYTES
                if array.dtype.name == "bfloat16":
                    name, array = name + _BITS, array.view(np.uint16)
                entries[f"{prefix}/{kind}/{name}"] = array
        if golden.labels is not None:
            entries[f"{prefix}/labels"] = golden.labels
    with (version_dir / versions.GOLDEN).open("wb") as file:
        np.savez_compressed(file, **entries)  # type: ignore[arg-type]


def read(version_dir: Path) -> dict[tuple[str, str], GoldenCase]:
    """Reads the golden examples of a version by (signature, case).

    Raises:
        FileNotFoundError: the version has none.
        ValueError: the file is damaged.
    """
    found: dict[tuple[str, str], dict[str, dict]] = {}
    labels: dict[tuple[str, str], np.ndarray] = {}
    with np.load(version_dir / versions.GOLDEN, allow_pickle=False) as file:
        for entry in file.files:
            signature, case, kind, *name = entry.split("/", 3)
            arrays = found.setdefault((signature, case), {each: {} for each in _KINDS})
            array = file[entry]
            if kind == "labels":
                labels[signature, case] = array
                continue
            if name[0].endswith(_BYTES):
                continue
            if name[0].endswith(_LENGTHS):
                name[0] = name[0].removesuffix(_LENGTHS)
                content = file[entry.removesuffix(_LENGTHS) + _BYTES]
                array = _strings(content.tobytes(), array)
            if name[0].endswith(_BITS):
                array = array.view(dtypes.numpy_dtype("bfloat16"))
            arrays[kind][name[0].removesuffix(_BITS)] = array
    return {key: GoldenCase(**arrays, labels=labels.get(key)) for key, arrays in found.items()}


def _strings(content: bytes, lengths: np.ndarray) -> np.ndarray:
    ends = np.cumsum(lengths.ravel())
    strings = np.empty(lengths.size, object)
    strings[:] = [
        content[end - length : end] for end, length in zip(ends, lengths.ravel(), strict=True)
    ]
    return strings.reshape(lengths.shape)
