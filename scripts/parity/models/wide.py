"""64-bit numbers: JAX with x64, in a process of its own."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case

_X64 = {"JAX_ENABLE_X64": "1"}


@case(environment=_X64)
def x64_polynomial() -> Any:
    """Polynomial regression in float64."""

    def func(params: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.polyval(params, x)

    return func, jnp.array([0.5, -1.0, 2.0, 1e-9]), TensorSpec(("b", 3), "float64")


@case(environment=_X64)
def x64_integers() -> Any:
    """Hashes and sums in int64."""

    def func(seed: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
        return {"hash": (x ^ seed) * 1_000_003, "sum": x.sum(-1), "seconds": x / 1_000_000}

    return func, jnp.int64(0x9E3779B97F4A7C15 >> 1), TensorSpec(("b", 4), "int64")


@case(environment=_X64)
def x64_mixed() -> Any:
    """Float32 network under x64, weak types and all."""

    def func(params: Any, x: jax.Array) -> dict[str, jax.Array]:
        hidden = jax.nn.relu(x @ params["kernel"])
        return {
            "scores": hidden,
            "mean": hidden.astype("float64").mean(-1),
            "best": hidden.argmax(-1),
        }

    kernel = jax.random.normal(jax.random.key(0), (4, 3), "float32")
    return func, {"kernel": kernel}, TensorSpec(("b", 4), "float32")
