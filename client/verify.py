"""Whether a server's outputs are JAX's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from artifact.comparison import difference
from artifact.manifest import Tolerance
from wire import dtypes


@dataclass
class Comparison:
    """What was found, over all batches.

    Attributes:
        tolerance: What counts as equal.
        tolerances: What does for outputs of other dtypes, by name.
        max_abs_err: Largest |server - JAX| of all numbers; infinite where one is NaN and the
            other isn't.
        values: How many numbers or strings were compared.
        faults: One line for each output of a batch that isn't JAX's.
    """

    tolerance: Tolerance
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    max_abs_err: float = 0.0
    values: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there was something to compare, and all of it agreed."""
        return self.values > 0 and not self.faults

    def add(
        self, served: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], where: str
    ) -> None:
        """Compares one batch's outputs by name; `where` names the batch in a fault."""
        for name in sorted(expected.keys() - served.keys()):
            self.faults.append(f"{where}: output {name} is missing")
        for name in sorted(served.keys() - expected.keys()):
            self.faults.append(f"{where}: output {name} is unknown to JAX")
        for name in sorted(served.keys() & expected.keys()):
            tolerance = self.tolerances.get(name, self.tolerance)
            self._compare(served[name], expected[name], tolerance, f"{where}: {name}")

    def _compare(
        self, served: np.ndarray, expected: np.ndarray, tolerance: Tolerance, what: str
    ) -> None:
        if served.shape != expected.shape:
            self.faults.append(f"{what} has shape {served.shape}, JAX's has {expected.shape}")
            return
        if dtypes.array_name(served.dtype) != dtypes.array_name(expected.dtype):
            self.faults.append(f"{what} is {served.dtype}, JAX's is {expected.dtype}")
            return
        self.values += expected.size
        largest, agrees = difference(served, expected, tolerance)
        if expected.dtype.kind in "OSUbiu":  # which are the same or not
            if not agrees:
                wrong = np.count_nonzero(served != expected)
                self.faults.append(f"{what}: {wrong} of {expected.size} values aren't JAX's")
            return
        self.max_abs_err = max(self.max_abs_err, largest)
        if not agrees:
            self.faults.append(
                f"{what} differs from JAX by {largest:.1e} "
                f"(rtol {tolerance.rtol:g}, atol {tolerance.atol:g})"
            )
