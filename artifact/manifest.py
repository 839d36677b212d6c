"""The manifest: what a version is, how it was made and what was checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from artifact import versions
from wire import methods

FORMAT = 1


class ManifestError(ValueError):
    """A manifest that is missing, damaged or of another format."""


@dataclass(frozen=True)
class Tensor:
    """One input or output: its shape (None: any size) and NumPy dtype name."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class ProgramFile:
    """A serialized `jax.export` program and the batch size it takes (None: any)."""

    file: str
    batch_size: int | None = None


@dataclass(frozen=True)
class ProgramRecord:
    """The programs of a signature, and the order of their flat arguments and results."""

    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    files: tuple[ProgramFile, ...]


@dataclass(frozen=True)
class SignatureRecord:
    """A named entry of the model.

    Attributes:
        program: What it is in JAX; None for TensorFlow ops around another entry's program.
        processing: Such a signature's declaration, in the exporter's terms.
        row_wise: Whether each row of each output is proven to depend on the same row of the inputs
            alone; None where nobody looked.
        row_wise_refusal: Why it isn't proven.
    """

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    method_name: str = methods.PREDICT
    program: ProgramRecord | None = None
    processing: Mapping[str, Any] | None = None
    row_wise: bool | None = None
    row_wise_refusal: str = ""

    @property
    def batched_inputs(self) -> tuple[str, ...]:
        """The inputs whose leading axis is the batch; none where the model has no batch."""
        if self.processing is not None:
            return tuple(self.inputs)
        sizes = {None} if self.program is None else {f.batch_size for f in self.program.files}
        return tuple(name for name, t in self.inputs.items() if t.shape and t.shape[0] in sizes)

    def batch_size(self, inputs: Mapping[str, np.ndarray]) -> int | None:
        """Returns how many samples some inputs are; None where the model has no batch."""
        return next((inputs[name].shape[0] for name in self.batched_inputs), None)


@dataclass(frozen=True)
class Parameter:
    """A parameter's path in the model, and its key in the variables' checkpoint."""

    path: str
    key: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Parity:
    """One comparison with JAX.

    Attributes:
        through: `signature` (signatures[...]) or `call` (`__call__`).
        max_abs_err: Largest absolute difference from JAX's output.
    """

    signature: str
    output: str
    batch_size: int
    through: str
    max_abs_err: float


@dataclass(frozen=True)
class Tolerance:
    """As in numpy.allclose: |served - JAX| <= atol + rtol * |JAX|."""

    rtol: float = 1e-5
    atol: float = 1e-5


@dataclass(frozen=True)
class Manifest:
    """The content of `assets.extra/manifest.json`.

    Attributes:
        parameters: In the order of the programs' flat parameter list.
        digests: sha256 of each other file of the version, by path relative to its directory.
        source: `pkg.module:build`, which gives the model; None for this exporter's own models,
            and for what was exported from Python.
    """

    model: str
    version: int
    created: str
    signatures: Mapping[str, SignatureRecord]
    parameters: tuple[Parameter, ...]
    platforms: tuple[str, ...] = ("cpu",)
    git_commit: str | None = None
    source: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tolerance: Tolerance = Tolerance()
    parity: tuple[Parity, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def write(self, version_dir: Path) -> None:
        """Writes the manifest into a version directory, which must have `assets.extra`."""
        text = json.dumps(asdict(self), indent=2, sort_keys=False)
        (version_dir / versions.MANIFEST).write_text(text + "\n")

    @classmethod
    def read(cls, version_dir: Path) -> Manifest:
        """Reads a version's manifest.

        Raises:
            FileNotFoundError: the version has none: it isn't one of ours.
            ManifestError: it is damaged, or of a format that this release doesn't read.
        """
        path = version_dir / versions.MANIFEST
        text = path.read_text()
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise ManifestError(f"{path}: format {data['format']}, this release reads {FORMAT}")
            return cls(
                **data
                | {
                    "signatures": {k: _signature(v) for k, v in data["signatures"].items()},
                    "parameters": tuple(
                        Parameter(**p | {"shape": tuple(p["shape"])}) for p in data["parameters"]
                    ),
                    "platforms": tuple(data["platforms"]),
                    "tolerance": Tolerance(**data["tolerance"]),
                    "parity": tuple(Parity(**p) for p in data["parity"]),
                }
            )
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(f"{path}: damaged manifest ({error!r})") from None


def digest_files(version_dir: Path) -> dict[str, str]:
    """Returns the sha256 (`sha256:<hex>`) of each file of a version but the manifest itself."""
    return {name: _digest(version_dir / name) for name in _files(version_dir)}


def damaged_files(version_dir: Path, manifest: Manifest) -> list[str]:
    """Returns the files that are missing, added or changed since the manifest was written."""
    found = digest_files(version_dir)
    names = sorted(found.keys() | manifest.digests.keys())
    return [name for name in names if found.get(name) != manifest.digests.get(name)]


def _files(version_dir: Path) -> Iterator[str]:
    for path in sorted(version_dir.rglob("*")):
        name = path.relative_to(version_dir).as_posix()
        if path.is_file() and name != versions.MANIFEST:
            yield name


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _signature(data: Mapping[str, Any]) -> SignatureRecord:
    return SignatureRecord(
        inputs={k: _tensor(v) for k, v in data["inputs"].items()},
        outputs={k: _tensor(v) for k, v in data["outputs"].items()},
        method_name=data["method_name"],
        program=_program(data["program"]) if data["program"] else None,
        processing=data.get("processing"),
        row_wise=data.get("row_wise"),
        row_wise_refusal=data.get("row_wise_refusal", ""),
    )


def _tensor(data: Mapping[str, Any]) -> Tensor:
    return Tensor(tuple(data["shape"]), data["dtype"])


def _program(data: Mapping[str, Any]) -> ProgramRecord:
    return ProgramRecord(
        tuple(data["input_names"]),
        tuple(data["output_names"]),
        tuple(ProgramFile(**file) for file in data["files"]),
    )
