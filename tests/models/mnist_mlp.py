"""Two dense layers on digits."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from exporter.model import Model, TensorSpec


class Network(nn.Module):
    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images.reshape((images.shape[0], -1))
        x = nn.tanh(nn.Dense(64)(x))
        return nn.log_softmax(nn.Dense(10)(x))


def model() -> Model:
    params = Network().init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
    return Model(
        "mnist_mlp",
        lambda params, images: Network().apply({"params": params}, images),
        params,
        TensorSpec(("b", 28, 28, 1)),
    )
