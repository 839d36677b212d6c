"""What calls return."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """A model's answer.

    Attributes:
        outputs: Arrays by output name, in the dtypes of the signature of the version that answered.
            Strings are bytes in an object array. An only output is named `""` where a REST server
            tells neither its name nor which version's signature to look it up in.
        version: The version that answered; None where such a server was asked for no version.
    """

    outputs: dict[str, np.ndarray]
    version: int | None

    @property
    def output(self) -> np.ndarray:
        """The only output.

        Raises:
            ValueError: there are several.
        """
        if len(self.outputs) != 1:
            raise ValueError(f"{len(self.outputs)} outputs: {', '.join(sorted(self.outputs))}")
        return next(iter(self.outputs.values()))


@dataclass(frozen=True)
class Classification:
    """Classes with their scores, one list an example.

    Attributes:
        results: Labels and scores.
        version: The version that answered; None where the server doesn't say (TensorFlow Serving's
            REST API doesn't, unless a version was asked for).
    """

    results: list[list[tuple[str, float]]]
    version: int | None


@dataclass(frozen=True)
class Regression:
    """One float32 value an example.

    Attributes:
        values: Shape [N].
        version: As for `Classification`.
    """

    values: np.ndarray
    version: int | None


# Source: tensorflow_serving/apis/get_model_status.proto (enum ModelVersionStatus.State).
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}


# The version of a model in a server that names none, which the Open Inference Protocol allows.
UNVERSIONED = 0


@dataclass(frozen=True)
class VersionStatus:
    """One version's state in the server.

    Attributes:
        version: Number; `UNVERSIONED` where the server has no versions.
        state: One of `STATES`.
        error: The reason, where loading failed; else empty.
    """

    version: int
    state: str
    error: str = ""

    @property
    def available(self) -> bool:
        """Whether it answers requests."""
        return self.state == "AVAILABLE"
