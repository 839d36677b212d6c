"""A vision transformer: patches, a class token, positions, attention, GELU."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from exporter.model import Model, TensorSpec


class Network(nn.Module):
    width: int = 32

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = nn.Conv(self.width, (7, 7), (7, 7))(images)
        x = x.reshape((x.shape[0], -1, self.width))
        token = self.param("token", nn.initializers.normal(), (1, 1, self.width))
        x = jnp.concatenate([jnp.tile(token, (x.shape[0], 1, 1)), x], axis=1)
        x += self.param("positions", nn.initializers.normal(), (1, x.shape[1], self.width))
        for _ in range(2):
            y = nn.LayerNorm()(x)
            x += nn.MultiHeadDotProductAttention(num_heads=4)(y, y)
            y = nn.Dense(2 * self.width)(nn.LayerNorm()(x))
            x += nn.Dense(self.width)(nn.gelu(y, approximate=False))
        return nn.log_softmax(nn.Dense(10)(nn.LayerNorm()(x)[:, 0]))


def model() -> Model:
    params = Network().init(jax.random.key(5), jnp.zeros((1, 28, 28, 1)))["params"]
    return Model(
        "vit",
        lambda params, images: Network().apply({"params": params}, images),
        params,
        TensorSpec(("b", 28, 28, 1)),
    )
