"""A signature's function as JAX sees it.

Both the SavedModel's graph and the version's JAX programs are made from these traces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
from jax import export

from exporter._compat.jax import ClosedJaxpr
from exporter.errors import UserError
from exporter.model import PyTree, user_frame
from exporter.model.entry import Entry


@dataclass(frozen=True)
class Trace:
    """A function of flat parameters and inputs, traced for one batch size or any.

    Attributes:
        label: The signature's, for messages.
        batch_size: The batch size that it takes; None: any.
        param_shapes: The flat parameters, as JAX takes them.
        input_shapes: The flat inputs; open dimensions are symbolic.
        outputs: The output pytree, of `jax.ShapeDtypeStruct`.
        jaxpr: The program, `(*parameters, *inputs) -> outputs`.
        platforms: What `exported` runs on.
        jitted: `jax.jit` of `(list of parameters, list of inputs) -> list of outputs`.
    """

    label: str
    batch_size: int | None
    param_shapes: Sequence[jax.ShapeDtypeStruct]
    input_shapes: Sequence[jax.ShapeDtypeStruct]
    outputs: PyTree
    jaxpr: ClosedJaxpr
    platforms: tuple[str, ...]
    jitted: Any

    @cached_property
    def exported(self) -> export.Exported:
        """The same trace as StableHLO, serializable; made when it is first asked for.

        Raises:
            UserError: JAX can't lower it for these platforms, the message being JAX's.
        """
        try:
            return export.export(self.jitted, platforms=self.platforms)(
                self.param_shapes, self.input_shapes
            )
        except Exception as error:
            raise untraceable(self.label, self.batch_size, error) from error


@dataclass(frozen=True)
class TracedSignature:
    """A signature with its traces, and the names and shapes of what goes in and comes out.

    Attributes:
        entry: Function, parameters and inputs.
        traces: The serving batch size's first; one alone where the batch is polymorphic.
        output_names: In the traces' order.
        parameter_paths: For example `("conv1", "kernel")`, in the traces' order.
    """

    entry: Entry
    traces: tuple[Trace, ...]
    output_names: list[str]
    parameter_paths: list[tuple[str, ...]]

    @property
    def serving(self) -> Trace:
        """The trace behind the signature."""
        return self.traces[0]

    @property
    def fixed_batch_sizes(self) -> list[int]:
        """What batch sizes there are traces for, the serving one first; none: any size."""
        return [t.batch_size for t in self.traces if t.batch_size is not None]

    @property
    def input_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Inputs of the serving trace by name, as JAX takes them."""
        return dict(zip(self.entry.specs, self.serving.input_shapes, strict=True))

    @property
    def output_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Outputs of the serving trace by name."""
        leaves = jax.tree.leaves(self.serving.outputs)
        return dict(zip(self.output_names, leaves, strict=True))


def untraceable(label: str, batch_size: int | None, error: Exception) -> UserError:
    """Returns what a user is told of a function that can't be traced, with the line at fault."""
    if isinstance(error, UserError):
        return error
    size = "any batch size" if batch_size is None else f"batch size {batch_size}"
    # JAX's class of sizes that aren't known yet; Python's len(x), int(n) and range(n) want numbers.
    hint = (
        "; the size of an open dimension is a symbol: take x.shape[0] for len(x), or export for "
        "fixed batch sizes (serving_batch_size=1)"
        if "_DimExpr" in str(error)
        else ""
    )
    return UserError(f"{label} can't be traced for {size}: {user_frame.describe(error)}{hint}")
