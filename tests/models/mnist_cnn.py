"""Convolutions and average pooling on digits."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from exporter.model import Model, TensorSpec


class Network(nn.Module):
    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images
        for features in (8, 16):
            x = nn.relu(nn.Conv(features, (3, 3))(x))
            x = nn.avg_pool(x, (2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.relu(nn.Dense(32)(x))
        return nn.log_softmax(nn.Dense(10)(x))


def model() -> Model:
    params = Network().init(jax.random.key(1), jnp.zeros((1, 28, 28, 1)))["params"]
    return Model(
        "mnist_cnn",
        lambda params, images: Network().apply({"params": params}, images),
        params,
        TensorSpec(("b", 28, 28, 1)),
    )
