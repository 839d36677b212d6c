"""A signature's function with the parameters that it runs on: what is traced, run and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np

from exporter.model import naming
from exporter.model.dimensions import batch_symbol
from exporter.model.model import SERVING_DEFAULT, Examples, Model, PyTree, TensorSpec


@dataclass(frozen=True)
class Entry:
    """One way into a model: a function, the model's parameters, and what it takes.

    Attributes:
        name: The signature's.
        label: What messages call it: the model's name, with the signature's behind it where that
            isn't the default.
        func: Pure function `(params, inputs) -> outputs`.
        params: Pytree of arrays.
        inputs: Pytree of `TensorSpec`.
        examples: Real inputs, or None.
        constraints: What open dimensions keep to.
    """

    name: str
    label: str
    func: Callable[[PyTree, PyTree], PyTree]
    params: PyTree
    inputs: PyTree
    examples: Examples | None = None
    constraints: tuple[str, ...] = ()

    @cached_property
    def specs(self) -> dict[str, TensorSpec]:
        """The inputs by name, in the order of `jax.tree.leaves`."""
        names = naming.input_names(self.inputs)
        return dict(zip(names, jax.tree.leaves(self.inputs), strict=True))

    @property
    def batch_symbol(self) -> str | None:
        """The name of the open batch dimension; None where there is none."""
        return batch_symbol(self.specs.values())

    @property
    def batched_inputs(self) -> tuple[str, ...]:
        """The inputs whose leading axis is the batch; none where there is no batch."""
        symbol = self.batch_symbol
        if symbol is None:
            return ()
        return tuple(name for name, spec in self.specs.items() if spec.shape[:1] == (symbol,))

    def named(self, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Returns flat inputs by name."""
        return dict(zip(self.specs, arrays, strict=True))

    def tree(self, inputs: Mapping[str, np.ndarray]) -> PyTree:
        """Returns inputs by name as the pytree that the function takes.

        Raises:
            KeyError: one is missing.
        """
        return jax.tree.structure(self.inputs).unflatten([inputs[name] for name in self.specs])

    def real_inputs(self) -> dict[str, np.ndarray] | None:
        """Returns the examples' inputs by name; None where there are none."""
        if self.examples is None:
            return None
        return self.named([np.asarray(array) for array in jax.tree.leaves(self.examples.inputs)])


def entries(model: Model) -> dict[str, Entry]:
    """Returns a model's signatures, `serving_default` first; processed ones are built on these."""
    return {
        SERVING_DEFAULT: Entry(
            SERVING_DEFAULT,
            model.name,
            model.func,
            model.params,
            model.inputs,
            model.examples,
            model.constraints,
        )
    } | {
        name: Entry(
            name,
            f"{model.name}:{name}",
            signature.func,
            model.params,
            signature.inputs,
            signature.examples,
            signature.constraints,
        )
        for name, signature in model.signatures.items()
    }


def default_entry(model: Model) -> Entry:
    """Returns a model's `serving_default`."""
    return entries(model)[SERVING_DEFAULT]
