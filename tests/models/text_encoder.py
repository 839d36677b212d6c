"""A transformer on int32 tokens and a boolean mask; a dictionary of them gives one of two."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from exporter.model import Model, TensorSpec

LENGTH = 12


class Network(nn.Module):
    width: int = 32
    vocabulary: int = 100

    @nn.compact
    def __call__(self, tokens: jax.Array, mask: jax.Array) -> dict[str, jax.Array]:
        x = nn.Embed(self.vocabulary, self.width)(tokens)
        x += nn.Embed(LENGTH, self.width)(jnp.arange(LENGTH))
        pairs = nn.make_attention_mask(mask, mask)
        for _ in range(2):
            y = nn.LayerNorm()(x)
            x += nn.MultiHeadDotProductAttention(num_heads=2)(y, y, mask=pairs)
            x += nn.Dense(self.width)(nn.gelu(nn.Dense(2 * self.width)(nn.LayerNorm()(x))))
        weights = mask[..., None].astype(x.dtype)
        pooled = (x * weights).sum(axis=1) / jnp.maximum(weights.sum(axis=1), 1)
        return {"embedding": pooled, "logits": nn.Dense(3)(pooled)}


def model() -> Model:
    tokens, mask = jnp.zeros((1, LENGTH), jnp.int32), jnp.ones((1, LENGTH), bool)
    params = Network().init(jax.random.key(6), tokens, mask)["params"]

    def func(params: Any, inputs: dict[str, Any]) -> dict[str, jax.Array]:
        outputs: dict[str, jax.Array] = Network().apply(
            {"params": params}, inputs["tokens"], inputs["mask"]
        )
        return outputs

    return Model(
        "text_encoder",
        func,
        params,
        {
            "tokens": TensorSpec(("b", LENGTH), "int32"),
            "mask": TensorSpec(("b", LENGTH), "bool"),
        },
    )
