"""Equinox: modules that are pytrees, of one example each."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case


@case()
def equinox_mlp() -> Any:
    """MLP of Equinox, partitioned."""
    import equinox as eqx

    return _partitioned(eqx.nn.MLP(5, 3, 16, 2, key=jax.random.key(0)), (5,))


@case()
def equinox_conv() -> Any:
    """CNN of Equinox, channels first."""
    import equinox as eqx

    keys = jax.random.split(jax.random.key(0), 2)
    network = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(3, 8, 3, padding=1, key=keys[0]),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.MaxPool2d(2, 2),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(8 * 4 * 4, 4, key=keys[1]),
        ]
    )
    return _partitioned(network, (3, 8, 8))


@case()
def equinox_gru() -> Any:
    """GRU of Equinox in a lax.scan."""
    import equinox as eqx

    class Network(eqx.Module):
        cell: Any
        last: Any

        def __init__(self, key: jax.Array) -> None:
            first, second = jax.random.split(key)
            self.cell = eqx.nn.GRUCell(4, 8, key=first)
            self.last = eqx.nn.Linear(8, 2, key=second)

        def __call__(self, xs: jax.Array) -> jax.Array:
            def step(state: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
                return self.cell(x, state), None

            state, _ = jax.lax.scan(step, jnp.zeros(8), xs)
            return jax.nn.softmax(self.last(state))

    return _partitioned(Network(jax.random.key(1)), (6, 4))


@case()
def equinox_attention() -> Any:
    """Attention with rotary positions and RMSNorm, of Equinox."""
    import equinox as eqx

    class Block(eqx.Module):
        attention: Any
        norm: Any
        rotary: Any

        def __init__(self, key: jax.Array) -> None:
            self.attention = eqx.nn.MultiheadAttention(2, 16, key=key)
            self.norm = eqx.nn.RMSNorm(16)
            self.rotary = eqx.nn.RotaryPositionalEmbedding(8)

        def __call__(self, x: jax.Array) -> jax.Array:
            def turned(query: Any, key: Any, value: Any) -> Any:
                turn = jax.vmap(self.rotary, in_axes=1, out_axes=1)
                return turn(query), turn(key), value

            y = jax.vmap(self.norm)(x)
            mask = jnp.tril(jnp.ones((x.shape[0], x.shape[0]), bool))
            return x + self.attention(y, y, y, mask, process_heads=turned)

    return _partitioned(Block(jax.random.key(2)), (7, 16))


def _partitioned(module: Any, shape: tuple[int, ...]) -> Any:
    import equinox as eqx

    params, static = eqx.partition(module, eqx.is_inexact_array)

    def func(arrays: Any, x: jax.Array) -> jax.Array:
        return jax.vmap(eqx.combine(arrays, static))(x)

    return func, params, TensorSpec(("b", *shape))
