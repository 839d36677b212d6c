"""What an engine does for the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np


class Engine(Protocol):
    """One loaded version in a runtime. `run` may be called from several threads at once.

    Attributes:
        compiles_sizes: Each batch size is a program of its own, compiled when it is first run.
    """

    name: str
    compiles_sizes: bool

    def batch_sizes(self, signature: str) -> Sequence[int] | None:
        """Returns the batch sizes that a signature takes, ascending; None: any."""

    def has_one_batch(self, signature: str) -> bool:
        """Whether all open leading axes of a signature's inputs are one batch, as far as known."""

    def is_ready(self, signature: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether inputs of these shapes run, or are refused, without being compiled before."""

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Runs a signature and returns the named outputs.

        Names and dtypes have been checked against the signature, shapes have not.

        Raises:
            ServingError: as the runtime reports it; INVALID_ARGUMENT for shapes that don't fit.
        """

    def close(self) -> None:
        """Lets go of the model; calls that are running still end well."""


@dataclass(frozen=True)
class EngineOptions:
    """How models are loaded.

    Attributes:
        engine: `auto`, `xla` or `tensorflow`.
        tags: The meta graph to load.
        xla_compilation: Let the TensorFlow runtime compile with XLA.
        compilation_cache: Directory for compiled programs; None for none.
        intra_op_threads: Threads inside an op in TensorFlow; 0: as many as there are cores.
        inter_op_threads: Ops at a time in TensorFlow; 0: as many as there are cores.
        prefer_tflite: Take `model.tflite` where a version has one.
    """

    engine: str = "auto"
    tags: tuple[str, ...] = ("serve",)
    xla_compilation: bool = False
    compilation_cache: Path | None = None
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    prefer_tflite: bool = False
