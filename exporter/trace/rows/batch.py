"""The batch in shapes: which axis of an array has the rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jax import export

from exporter._compat.jax import ClosedJaxpr, Jaxpr

_NAME = re.compile(r"[A-Za-z_]\w*")


class Mixes(Exception):
    """An operation brings rows together, or isn't known not to; the text says how."""


@dataclass(frozen=True)
class Batch:
    """The size of the batch, and where it stands in shapes.

    An array with rows has one axis whose size is the batch, or the batch times something: then
    each row has a block of neighbouring places in it, in the order of the rows. The shape alone
    tells which axis it is, because no other size is made of the batch's: it is a symbol, or a
    prime of which `signature.py` makes sure.

    Attributes:
        size: The symbol, as JAX's traces have it, or the prime.
    """

    size: Any

    def mentions(self, value: Any) -> bool:
        """Tells whether a size, shape, parameter or jaxpr is made of the batch's size."""
        if export.is_symbolic_dim(value):
            return str(self.size) in _NAME.findall(str(value))
        if isinstance(value, int):
            return isinstance(self.size, int) and value != 0 and value % self.size == 0
        if isinstance(value, ClosedJaxpr):
            return self.mentions(value.jaxpr)
        if isinstance(value, Jaxpr):
            return any(map(self.mentions, _sizes(value)))
        if isinstance(value, Mapping):
            return any(map(self.mentions, value.values()))
        if isinstance(value, tuple | list):
            return any(map(self.mentions, value))
        return False

    def axis(self, shape: Sequence[Any]) -> int | None:
        """Returns the axis with the rows; None where the batch isn't in the shape.

        Raises:
            Mixes: it is there twice, or as another expression than a multiple.
        """
        axes = [axis for axis, size in enumerate(shape) if self.mentions(size)]
        if not axes:
            return None
        if len(axes) > 1:
            raise Mixes(f"has the batch in two axes of its result, {_text(shape)}")
        self.block(shape[axes[0]])
        return axes[0]

    def block(self, size: Any) -> Any:
        """Returns how many places of an axis belong to each row.

        Raises:
            Mixes: the axis isn't a multiple of the batch.
        """
        places = size // self.size
        if self.mentions(places) or places * self.size != size:
            raise Mixes(f"has an axis of {size} places, which isn't a number of them for each row")
        return places


def _text(shape: Sequence[Any]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _sizes(jaxpr: Any) -> Iterator[Any]:
    """Whatever in a jaxpr may be made of sizes: shapes and parameters."""
    for variable in (*jaxpr.invars, *jaxpr.constvars, *jaxpr.outvars):
        yield shape_of(variable)
    for equation in jaxpr.eqns:
        yield equation.params
        for variable in (*equation.invars, *equation.outvars):
            yield shape_of(variable)


def shape_of(variable: Any) -> tuple[Any, ...]:
    """Returns the shape of a jaxpr's variable; `()` of what has none, such as a token."""
    return tuple(getattr(variable.aval, "shape", ()))
