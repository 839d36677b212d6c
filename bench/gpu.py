"""The same loads with large batches, for a machine whose JAX finds a GPU."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from bench.cases import Case, Load

PLATFORMS = "cpu,cuda"
_LOOK = "import jax; print(jax.default_backend())"


def require() -> None:
    """Returns where JAX finds a GPU; it is asked in a process of its own.

    Raises:
        ValueError: it finds none.
    """
    found = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, text=True)
    backend = found.stdout.strip()
    if found.returncode or backend != "gpu":
        raise ValueError(
            f"--gpu: JAX's default backend is {backend or 'broken'}, not a GPU: it needs an NVIDIA "
            "driver and pip install 'jax[cuda12]'"
        )


def large(case: Case) -> Case:
    """Returns a case with the batch sizes that keep a GPU busy."""
    loads = tuple(Load(*pair) for pair in ((1, 1), (1, 32), (32, 8), (128, 8), (128, 32)))
    return replace(case, loads=loads, limit_sizes=(1, 8, 32, 64, 128, 256), curve_in_flight=256)
