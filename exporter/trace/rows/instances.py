"""Whether two programs are one function, traced for two sizes of the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax import export

from exporter._compat.jax import ClosedJaxpr, Jaxpr, Literal, source_line
from exporter.trace.rows.batch import Batch, shape_of

# How to differentiate a function, which no server does.
_DERIVATIVES = frozenset({"bwd", "fwd_jaxpr_thunk", "jvp_jaxpr_fun", "jvp_jaxpr_thunk"})


class Differs(Exception):
    """The programs are not known to be one function; the text says where they differ."""


class Comparison:
    """Compares programs, equation by equation.

    They are the same where each size and each number is, but for multiples of the one batch's
    size, in whose place stand the same multiples of the other's. So nothing else can be made of
    the batch's size: neither a number that is computed with, nor an axis that is as long.
    """

    def __init__(self, batch: Batch, other: int) -> None:
        """Takes the batch of the first programs, whose size is a number, and the others' size."""
        self._batch, self._other = batch, other

    def check(self, one: Any, other: Any) -> None:
        """Insists on the same program, with its constants.

        Raises:
            Differs: it is another one.
        """
        if len(one.consts) != len(other.consts) or not all(
            map(_equal_arrays, one.consts, other.consts)
        ):
            raise Differs("holds other arrays")
        self._jaxpr(one.jaxpr, other.jaxpr)

    def _jaxpr(self, one: Any, other: Any) -> None:
        names: dict[Any, Any] = {}

        def bind(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
            names.update(zip(ours, theirs, strict=False))
            return len(ours) == len(theirs) and all(map(self._types, ours, theirs))

        def same(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
            return len(ours) == len(theirs) and all(
                _equal_literals(one, other) if isinstance(one, Literal) else names[one] is other
                for one, other in zip(ours, theirs, strict=True)
            )

        if not bind([*one.constvars, *one.invars], [*other.constvars, *other.invars]):
            raise Differs("takes other arrays")
        if len(one.eqns) != len(other.eqns):
            raise Differs(f"has {len(other.eqns)} operations in place of {len(one.eqns)}")
        for ours, theirs in zip(one.eqns, other.eqns, strict=True):
            if (
                ours.primitive.name != theirs.primitive.name
                or not same(ours.invars, theirs.invars)
                or not bind(ours.outvars, theirs.outvars)
                or not self._equal(ours.params, theirs.params)
            ):
                raise Differs(f"has another {theirs.primitive.name} at {source_line(theirs)}")
        if not same(one.outvars, other.outvars):
            raise Differs("has other results")

    def _types(self, ours: Any, theirs: Any) -> bool:
        dtypes = [getattr(variable.aval, "dtype", None) for variable in (ours, theirs)]
        return dtypes[0] == dtypes[1] and self._equal(shape_of(ours), shape_of(theirs))

    def _equal(self, ours: Any, theirs: Any) -> bool:
        if export.is_symbolic_dim(ours):  # another open dimension than the batch, of its own scope
            return str(ours) == str(theirs)
        if isinstance(ours, int) and isinstance(theirs, int) and self._batch.mentions(ours):
            return theirs == self._batch.block(ours) * self._other
        if isinstance(ours, ClosedJaxpr) and isinstance(theirs, ClosedJaxpr):
            self.check(ours, theirs)
            return True
        if isinstance(ours, Jaxpr) and isinstance(theirs, Jaxpr):
            self._jaxpr(ours, theirs)
            return True
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            return ours.keys() == theirs.keys() and all(
                self._equal(ours[key], theirs[key]) for key in ours.keys() - _DERIVATIVES
            )
        if isinstance(ours, tuple | list) and isinstance(theirs, tuple | list):
            return len(ours) == len(theirs) and all(map(self._equal, ours, theirs))
        if isinstance(ours, np.ndarray | float):  # a NaN is one
            return _equal_arrays(ours, theirs)
        return bool(ours == theirs)


def _equal_literals(ours: Any, theirs: Any) -> bool:
    return isinstance(theirs, Literal) and _equal_arrays(ours.val, theirs.val)


def _equal_arrays(one: Any, other: Any) -> bool:
    ours, theirs = (np.asarray(_numbers(array)) for array in (one, other))
    return (
        ours.shape == theirs.shape
        and ours.dtype == theirs.dtype
        and ours.tobytes() == theirs.tobytes()
    )


def _numbers(array: Any) -> Any:
    """An array, or the numbers behind one of random keys."""
    is_key = jax.dtypes.issubdtype(getattr(array, "dtype", np.float32), jax.dtypes.prng_key)
    return jax.random.key_data(array) if is_key else array
