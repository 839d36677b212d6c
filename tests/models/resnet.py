"""Residual blocks with batch normalisation, a stride and a projection: running averages, too."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from exporter.model import Model, TensorSpec


class Block(nn.Module):
    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        strides = (self.stride, self.stride)
        y = nn.Conv(self.features, (3, 3), strides, use_bias=False)(x)
        y = nn.relu(nn.BatchNorm(use_running_average=True)(y))
        y = nn.Conv(self.features, (3, 3), use_bias=False)(y)
        y = nn.BatchNorm(use_running_average=True)(y)
        if x.shape != y.shape:
            x = nn.Conv(self.features, (1, 1), strides, use_bias=False)(x)
            x = nn.BatchNorm(use_running_average=True)(x)
        return nn.relu(x + y)


class Network(nn.Module):
    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = nn.Conv(8, (7, 7), (2, 2), padding=((3, 3), (3, 3)), use_bias=False)(images)
        x = nn.relu(nn.BatchNorm(use_running_average=True)(x))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        x = Block(16, 2)(Block(8)(x))
        return nn.Dense(10)(x.mean(axis=(1, 2)))


def model() -> Model:
    variables = Network().init(jax.random.key(3), jnp.zeros((1, 32, 32, 3)))
    keys = iter(jax.random.split(jax.random.key(4), 100))
    variables = dict(variables)
    variables["batch_stats"] = jax.tree.map(
        lambda x: jax.random.uniform(next(keys), x.shape, minval=0.5), variables["batch_stats"]
    )
    return Model(
        "resnet",
        lambda variables, images: Network().apply(variables, images),
        variables,
        TensorSpec(("b", 32, 32, 3)),
    )
