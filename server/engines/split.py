"""Two engines for one version: each signature goes to the one that can run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import numpy as np

from server.engines.engine import Engine


class SplitEngine:
    """A version whose signatures are shared between two engines."""

    def __init__(self, first: Engine, signatures: Set[str], rest: Engine) -> None:
        """Takes two engines that have loaded the version.

        Args:
            first: Runs `signatures`.
            signatures: Names.
            rest: Runs all others.
        """
        self.name = f"{first.name}+{rest.name}"
        self.compiles_sizes = first.compiles_sizes or rest.compiles_sizes
        self._first, self._signatures, self._rest = first, signatures, rest

    def batch_sizes(self, signature: str) -> Sequence[int] | None:
        """Returns what the signature's engine says."""
        return self._engine(signature).batch_sizes(signature)

    def has_one_batch(self, signature: str) -> bool:
        """Returns what the signature's engine says."""
        return self._engine(signature).has_one_batch(signature)

    def is_ready(self, signature: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        """Returns what the signature's engine says."""
        return self._engine(signature).is_ready(signature, shapes)

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Runs a signature in its engine."""
        return self._engine(signature).run(signature, inputs, outputs)

    def close(self) -> None:
        """Closes both."""
        self._first.close()
        self._rest.close()

    def _engine(self, signature: str) -> Engine:
        return self._first if signature in self._signatures else self._rest
