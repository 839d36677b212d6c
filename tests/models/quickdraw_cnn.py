"""Three convolutions with max pooling on drawings: probabilities of ten classes."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from exporter.model import Model, TensorSpec


class Network(nn.Module):
    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images
        for features in (8, 16, 16):
            x = nn.relu(nn.Conv(features, (3, 3), padding="VALID" if features == 8 else "SAME")(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2), padding="SAME")
        x = x.reshape((x.shape[0], -1))
        return nn.softmax(nn.Dense(10)(nn.relu(nn.Dense(32)(x))))


def model() -> Model:
    params = Network().init(jax.random.key(2), jnp.zeros((1, 28, 28, 1)))["params"]
    return Model(
        "quickdraw_cnn",
        lambda params, images: Network().apply({"params": params}, images),
        params,
        TensorSpec(("b", 28, 28, 1)),
    )
