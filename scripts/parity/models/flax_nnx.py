"""Flax's nnx: objects that are split into a graph and a state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case


@case()
def nnx_mlp() -> Any:
    """MLP of nnx, its state as parameters."""
    from flax import nnx

    class Network(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.first = nnx.Linear(6, 16, rngs=rngs)
            self.last = nnx.Linear(16, 3, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.last(jax.nn.elu(self.first(x)))

    return _split(Network(nnx.Rngs(0)), TensorSpec(("b", 6)))


@case()
def nnx_batch_norm() -> Any:
    """CNN of nnx with BatchNorm and dropout in eval mode."""
    from flax import nnx

    class Network(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.conv = nnx.Conv(3, 8, (3, 3), rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)
            self.last = nnx.Linear(8, 4, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            x = nnx.relu(self.norm(self.conv(x)))
            return self.last(self.drop(x.mean((1, 2))))

    network = Network(nnx.Rngs(1))
    network.eval()
    return _split(network, TensorSpec(("b", 8, 8, 3)))


@case()
def nnx_transformer() -> Any:
    """Transformer block of nnx over two open dimensions."""
    from flax import nnx

    class Block(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.norm = nnx.LayerNorm(8, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
            self.up = nnx.Linear(8, 16, rngs=rngs)
            self.down = nnx.Linear(16, 8, rngs=rngs)

        def __call__(self, x: jax.Array) -> jax.Array:
            x = x + self.attention(self.norm(x), deterministic=True)
            return x + self.down(nnx.gelu(self.up(x)))

    return _split(Block(nnx.Rngs(2)), TensorSpec(("b", "s", 8)))


def _split(module: Any, spec: TensorSpec) -> Any:
    from flax import nnx

    graph, state, rest = nnx.split(module, nnx.Not(nnx.RngState), ...)

    def func(params: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(graph, params, rest)(x)

    return func, jax.tree.map(jnp.asarray, state), spec
