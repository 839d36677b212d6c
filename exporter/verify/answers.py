"""JAX's answers to inputs: the measure of every other runtime."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from exporter.model import naming
from exporter.model.entry import Entry
from exporter.verify.inputs import Arrays
from exporter.verify.leeway import Run


def answer(entry: Entry, inputs: Arrays) -> dict[str, np.ndarray]:
    """Runs a signature's own function on inputs by name, and returns its outputs by name.

    It runs on the CPU, whose float32 is exact, and untraced, operation by operation: what tracing
    would have baked into an export (a random number, a Python branch on a value) shows as a
    difference. Parameters are JAX's arrays, as they are when it is traced: NumPy's take no index
    beyond the end.
    """
    cpu = _cpu()
    with jax.default_device(cpu):
        arrays = {name: jax.numpy.asarray(array) for name, array in inputs.items()}
        params = jax.device_put(entry.params, cpu)
        outputs = entry.func(params, entry.tree(arrays))
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(outputs)]
    return dict(zip(naming.output_names(outputs), leaves, strict=True))


def jitted(entry: Entry) -> Run:
    """Returns a signature's function of parameters and inputs by name, compiled for the CPU."""
    output_names: list[str] = []

    def flat(params: Any, arrays: dict[str, Any]) -> list[Any]:
        outputs = entry.func(params, entry.tree(arrays))
        output_names[:] = naming.output_names(outputs)
        return jax.tree.leaves(outputs)

    compiled = jax.jit(flat)

    def run(params: Any, inputs: Arrays) -> dict[str, np.ndarray]:
        cpu = _cpu()
        with jax.default_device(cpu):
            outputs = compiled(jax.device_put(params, cpu), dict(inputs))
            leaves = list(map(np.asarray, outputs))
        return dict(zip(output_names, leaves, strict=True))

    return run


def _cpu() -> Any:
    """The device whose float32 is exact; parameters of a user's own may be on another."""
    return jax.local_devices(backend="cpu")[0]
