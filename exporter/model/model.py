"""The pair that everything else works on: a pure function and its parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exporter.errors import UserError
from exporter.model.processed import ProcessedSignature

PyTree = Any

# The signature that a runtime takes when it is told none.
SERVING_DEFAULT = "serving_default"

# Of paths, and of the addresses of TensorFlow Serving's REST API: `/v1/models/<name>:predict`.
_SEPARATOR = re.compile(r"[/\\:\x00-\x1f\x7f]")


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one array that a model takes.

    Attributes:
        shape: One entry an axis; a string names a dimension that is open, such as the batch
            dimension `"b"` or a sequence length `"s"`.
        dtype: NumPy's name of the dtype, for example `"float32"`.
    """

    shape: tuple[int | str, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Examples:
    """Real inputs that go with a model, kept in the published version for clients to send.

    Attributes:
        inputs: The model's input pytree with arrays in place of specs, all of batch size N.
        labels: int64 [N], the right classes, where there are any and the outputs are scores.
    """

    inputs: PyTree
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Signature:
    """A function of a model's parameters beside the model's own.

    Attributes:
        func: Pure function `(params, inputs) -> outputs`, as a model's own.
        inputs: Pytree of `TensorSpec`, in the structure that `func` takes.
        examples: Real inputs, or None.
        constraints: As a model's.
    """

    func: Callable[[PyTree, PyTree], PyTree]
    inputs: PyTree
    examples: Examples | None = None
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A JAX model, ready to be exported.

    Attributes:
        name: The model's name in the server; also the name of its directory.
        func: Pure function `(params, inputs) -> outputs`; any pytrees, leading axis the batch.
        params: Pytree of arrays.
        inputs: Pytree of `TensorSpec`, in the structure that `func` takes.
        examples: Real inputs, or None.
        metrics: Figures for the manifest, such as `test_accuracy` (0 to 1).
        constraints: What open dimensions keep to, such as `"s <= 512"` or `"mod(s, 8) == 0"`;
            see https://docs.jax.dev/en/latest/export/shape_poly.html
        signatures: Those beside `serving_default`, which is `func`, by name.
        source: `pkg.module:build`, where that gives the model.
        processed: Signatures that take files or tf.Examples, or give class names, by name: each
            is one of the others with TensorFlow ops around it.

    Raises:
        UserError: a name can't be a file's, or a server's for a model.
    """

    name: str
    func: Callable[[PyTree, PyTree], PyTree]
    params: PyTree
    inputs: PyTree
    examples: Examples | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    source: str | None = None
    processed: Mapping[str, ProcessedSignature] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_name("model", self.name)
        for name in (*self.signatures, *self.processed):
            _check_name(f"{self.name}: signature", name)
        if SERVING_DEFAULT in self.signatures:
            raise UserError(
                f"{self.name}: a signature is called {SERVING_DEFAULT}, as the model's own "
                "function is; rename it"
            )


def _check_name(what: str, name: str) -> None:
    """Refuses names that are no part of a path or of a server's address.

    Raises:
        UserError: it is one of them.
    """
    if not name or name in (".", "..") or _SEPARATOR.search(name):
        raise UserError(
            f"{what} {name!r}: the name becomes a part of files and addresses; give one without "
            "'/', '\\', ':' and control characters"
        )
