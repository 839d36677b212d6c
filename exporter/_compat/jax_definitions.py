"""How JAX itself writes a primitive in terms of others, as it lowers it for a compiler.

`jax._src.interpreters.mlir` is private, and so are the random keys' parts:
https://docs.jax.dev/en/latest/jep/9263-typed-keys.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax._src.interpreters import mlir
from jax._src.random import prng
from jax.extend import core

__all__ = [
    "definition",
    "function_of",
    "is_key",
    "physical",
    "random_bits",
    "random_fold_in",
    "random_seed",
    "random_split",
    "wrap_key",
]


def definition(primitive: Any) -> Callable[..., Any] | None:
    """Returns a traceable function of the primitive's operands and parameters.

    None where JAX has none, because a compiler's op or a library does it.
    """
    for lowerings in (mlir._platform_specific_lowerings["cpu"], mlir._lowerings):
        rule = getattr(lowerings.get(primitive), "rule", lowerings.get(primitive))
        # What `mlir.lower_fun` returns: a closure over the function.
        code, cells = getattr(rule, "__code__", None), getattr(rule, "__closure__", None)
        if code and cells and "fun" in code.co_freevars:
            return cells[code.co_freevars.index("fun")].cell_contents
    return None


def function_of(jaxpr: Any, consts: Sequence[Any] = ()) -> Callable[..., Any]:
    """Returns a jaxpr, with its constants or without, as a function that can be traced."""
    if not isinstance(jaxpr, core.ClosedJaxpr):
        jaxpr = core.ClosedJaxpr(jaxpr, list(consts))
    return core.jaxpr_as_fun(jaxpr)


def is_key(dtype: Any) -> bool:
    """Tells the dtype of random keys."""
    return jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)


def physical(shape: tuple[Any, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    """Returns the array behind an array: that of keys has their numbers along more axes."""
    if not is_key(dtype):
        return jax.ShapeDtypeStruct(shape, dtype)
    return jax.ShapeDtypeStruct((*shape, *dtype._impl.key_shape), np.uint32)


def wrap_key(numbers: Any, dtype: Any) -> Any:
    """Returns keys with these numbers."""
    return prng.random_wrap(numbers, impl=dtype._impl)


def random_seed(impl: Any, seeds: Any) -> Any:
    """Returns the numbers of keys."""
    return prng.random_seed_impl_base(seeds, impl=impl)


def random_split(dtype: Any, ndim: int, shape: Any, numbers: Any) -> Any:
    """Returns the numbers of as many keys for each key."""
    return prng.random_split_impl_base(dtype._impl, numbers, ndim, shape=shape)


def random_fold_in(dtype: Any, shape: Any, numbers: Any, messages: Any) -> Any:
    """Returns the numbers of keys that messages were folded into."""
    return prng.random_fold_in_impl_base(dtype._impl, numbers, messages, shape)


def random_bits(dtype: Any, ndim: int, bit_width: int, shape: Any, numbers: Any) -> Any:
    """Returns random unsigned integers for each key."""
    return prng.random_bits_impl_base(dtype._impl, numbers, ndim, bit_width=bit_width, shape=shape)
