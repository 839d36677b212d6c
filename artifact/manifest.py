"""The manifest: what a version is, how it was made and what was checked."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from artifact import versions
from wire import methods

FORMAT = 1

Record = TypeVar("Record")


class ManifestError(ValueError):
    """A manifest that is missing, damaged or of another format."""


@dataclass(frozen=True)
class Tensor:
    """One input or output: its shape (None: any size) and NumPy dtype name."""

    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class ModuleRecord:
    """How a program that is a portable StableHLO artefact is called.

    Attributes:
        stablehlo: The version that it was written for; older runtimes can't read it.
        platforms: What it runs on. Where they are several, `main` takes first which of them it is.
        inputs: The program's flat inputs, such as `float32[b,4]`; a named size is an open one.
        outputs: Its flat outputs, likewise; sizes are expressions of the inputs'.
        kept: Which of the flat arguments (parameters, then inputs) `main` takes.
    """

    stablehlo: str
    platforms: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kept: tuple[int, ...]


@dataclass(frozen=True)
class ProgramFile:
    """A program and the batch size it takes (None: any).

    Attributes:
        module: Of a portable StableHLO artefact; None of what `jax.export` serialized.
    """

    file: str
    batch_size: int | None = None
    module: ModuleRecord | None = None


@dataclass(frozen=True)
class ProgramRecord:
    """The programs of a signature, and the order of their flat arguments and results."""

    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    files: tuple[ProgramFile, ...]

    @property
    def symbols(self) -> Mapping[str, str] | None:
        """The inputs' leading axes as they are named in the program; None where it says none."""
        module = self.files[0].module
        if module is None:
            return None
        axes = [re.sub(r".*\[|[,\]].*", "", text) for text in module.inputs]
        return dict(zip(self.input_names, axes, strict=True))


@dataclass(frozen=True)
class Tolerance:
    """|served - JAX| <= atol * min(1, largest |JAX| of the output) + rtol * |JAX|.

    As in numpy.allclose, but that numbers which are all small are compared more closely.
    """

    rtol: float = 1e-5
    atol: float = 1e-5


@dataclass(frozen=True)
class SignatureRecord:
    """A named entry of the model.

    Attributes:
        program: What it is in JAX; None for TensorFlow ops around another entry's program.
        processing: Such a signature's declaration, in the exporter's terms.
        tolerances: How far an output may be from JAX's, by its name; the version's where none.
        row_wise: Whether each row of each output is proven to depend on the same row of the inputs
            alone; None where nobody looked.
        row_wise_refusal: Why it isn't proven.
    """

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    method_name: str = methods.PREDICT
    program: ProgramRecord | None = None
    processing: Mapping[str, Any] | None = None
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    row_wise: bool | None = None
    row_wise_refusal: str = ""

    @cached_property
    def batched_inputs(self) -> tuple[str, ...]:
        """The inputs whose leading axis is the batch; none where the model has no batch."""
        if self.processing is not None:
            return tuple(self.inputs)
        sizes = {None} if self.program is None else {f.batch_size for f in self.program.files}
        found = [name for name, t in self.inputs.items() if t.shape and t.shape[0] in sizes]
        if self.program is None or self.program.symbols is None:
            return tuple(found)
        # Open leading axes of several names: the first is the batch, the others go on their own.
        symbols = self.program.symbols
        return tuple(name for name in found if symbols[name] == symbols[found[0]])

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
        through: `signature` (signatures[...]), `call` (`__call__`) or `program` (JAX's own).
        max_abs_err: Largest absolute difference from JAX's output.
        inputs: What it was compared at: `random`, `examples`, or a kind of edges.
    """

    signature: str
    output: str
    batch_size: int
    through: str
    max_abs_err: float
    inputs: str = "random"

    @property
    def is_ordinary(self) -> bool:
        """Whether the inputs were of the usual size, so that differences can be told together."""
        return self.inputs in ("random", "examples")


@dataclass(frozen=True)
class Manifest:
    """The content of `assets.extra/manifest.json`.

    Attributes:
        parameters: In the order of the programs' flat parameter list.
        digests: sha256 of each other file of the version, by path relative to its directory.
        source: `pkg.module:build`, which gives the model; None for this exporter's own models,
            and for what was exported from Python.
        untried: At what a signature was not compared, and why, by its name.
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
    untried: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def max_abs_err(self) -> float | None:
        """The largest difference from JAX at inputs of the usual size; None: not compared."""
        return max_abs_err(self.parity)

    def tolerance_of(self, signature: str, output: str) -> Tolerance:
        """Returns how far an output of a signature may be from JAX's."""
        return self.signatures[signature].tolerances.get(output, self.tolerance)

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
            return _known(
                cls,
                data,
                signatures={k: _signature(v) for k, v in data["signatures"].items()},
                parameters=tuple(
                    _known(Parameter, p, shape=tuple(p["shape"])) for p in data["parameters"]
                ),
                platforms=tuple(data.get("platforms", ("cpu",))),
                tolerance=_known(Tolerance, data.get("tolerance", {})),
                parity=tuple(_known(Parity, p) for p in data.get("parity", ())),
            )
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(f"{path}: damaged manifest ({error!r})") from None


def max_abs_err(parity: Iterable[Parity]) -> float | None:
    """Returns the largest difference at inputs of the usual size; None where there is none."""
    return max((p.max_abs_err for p in parity if p.is_ordinary), default=None)


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


def _known(kind: Callable[..., Record], data: Mapping[str, Any], **parsed: Any) -> Record:
    """Makes a record of what this release knows of it.

    What another release has beside it is left out, and what it lacks has its default: releases
    read one another's manifests as long as `FORMAT` is the same.
    """
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in data.items() if name in names} | parsed)


def _signature(data: Mapping[str, Any]) -> SignatureRecord:
    return _known(
        SignatureRecord,
        data,
        inputs={k: _tensor(v) for k, v in data["inputs"].items()},
        outputs={k: _tensor(v) for k, v in data["outputs"].items()},
        program=_program(data["program"]) if data.get("program") else None,
        tolerances={k: _known(Tolerance, v) for k, v in data.get("tolerances", {}).items()},
    )


def _tensor(data: Mapping[str, Any]) -> Tensor:
    return Tensor(tuple(data["shape"]), data["dtype"])


def _program(data: Mapping[str, Any]) -> ProgramRecord:
    return ProgramRecord(
        tuple(data["input_names"]),
        tuple(data["output_names"]),
        tuple(
            _known(ProgramFile, file, module=_module(file.get("module"))) for file in data["files"]
        ),
    )


def _module(data: Mapping[str, Any] | None) -> ModuleRecord | None:
    if data is None:
        return None
    lists = ("platforms", "inputs", "outputs", "kept")
    return _known(ModuleRecord, data, **{name: tuple(data[name]) for name in lists})
