"""A transformer encoder on token ids of any length, of the size of MiniLM-L6, with random weights.

Architecture: Devlin et al., "BERT", with 6 layers of 384 in place of 12 of 768: what two cores
compute in tens of milliseconds.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from bench.models import weights
from exporter.model import Model, TensorSpec

LAYERS, WIDTH, HEADS, HIDDEN = 6, 384, 12, 1536
VOCABULARY, LONGEST = 30522, 512


class Layer(nn.Module):
    """Attention and a feed-forward network, each with a normalised sum around it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Takes and returns [batch, length, width]."""
        x = nn.LayerNorm()(x + nn.MultiHeadDotProductAttention(HEADS)(x, x))
        return nn.LayerNorm()(x + nn.Dense(WIDTH)(nn.gelu(nn.Dense(HIDDEN)(x))))


class Network(nn.Module):
    """The whole encoder: 22.6 million parameters."""

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Takes int32 ids [batch, length], and returns float32 embeddings [batch, width]."""
        positions = self.param("positions", nn.initializers.normal(0.02), (LONGEST, WIDTH))
        x = nn.Embed(VOCABULARY, WIDTH)(tokens) + positions[: tokens.shape[1]]
        x = nn.LayerNorm()(x)
        for _ in range(LAYERS):
            x = Layer()(x)
        return x.mean(axis=1)


def build() -> Model:
    """Returns the model, whose batch and length are open."""
    shapes = jax.eval_shape(Network().init, jax.random.key(0), jnp.zeros((1, 8), jnp.int32))
    params = weights.draw(shapes["params"])

    def func(params: Any, tokens: jax.Array) -> jax.Array:
        embeddings: jax.Array = Network().apply({"params": params}, tokens)
        return embeddings

    tokens = TensorSpec(("b", "length"), "int32")
    return Model("encoder", func, params, tokens, constraints=(f"length <= {LONGEST}",))
