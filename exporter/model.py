"""The pair that everything else works on: a pure function and its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PyTree = Any


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
        labels: int64 [N], the right classes, where there are any.
    """

    inputs: PyTree
    labels: np.ndarray | None = None


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
    """

    name: str
    func: Callable[[PyTree, PyTree], PyTree]
    params: PyTree
    inputs: PyTree
    examples: Examples | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
