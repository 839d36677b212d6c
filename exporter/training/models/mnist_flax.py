"""A convolutional network for MNIST in Flax: 824,458 parameters."""

from __future__ import annotations

from functools import partial

import jax
from flax import linen as nn

from exporter.model import PyTree, TensorSpec
from exporter.training.augmentation import random_shift
from exporter.training.models.definition import ModelDefinition
from exporter.training.optimizers import sgd_with_cosine_decay


class MnistNetwork(nn.Module):
    """Two convolutions and two dense layers; [B, 28, 28, 1] to [B, 10], or to [B, 256] features."""

    @nn.compact
    def __call__(self, images: jax.Array, with_classifier: bool = True) -> jax.Array:
        """Log-probabilities of the ten classes, or the features below the classifier."""
        x = nn.relu(nn.Conv(32, (3, 3), name="conv1")(images))
        x = nn.avg_pool(x, (2, 2), strides=(2, 2))
        x = nn.relu(nn.Conv(64, (3, 3), name="conv2")(x))
        x = nn.avg_pool(x, (2, 2), strides=(2, 2))
        x = x.reshape((x.shape[0], -1))
        x = nn.relu(nn.Dense(256, name="dense1")(x))
        if not with_classifier:
            return x
        return nn.log_softmax(nn.Dense(10, name="dense2")(x))


def init(key: jax.Array) -> PyTree:
    """Flax's default initialisation."""
    params: PyTree = MnistNetwork().init(key, jax.numpy.zeros((1, 28, 28, 1)))["params"]
    return params


def apply(params: PyTree, images: jax.Array, with_classifier: bool) -> jax.Array:
    """Run the network on float32 [B, 28, 28, 1]."""
    output: jax.Array = MnistNetwork().apply({"params": params}, images, with_classifier)
    return output


DEFINITION = ModelDefinition(
    name="mnist_flax",
    inputs=TensorSpec(("b", 28, 28, 1)),
    init=init,
    apply=apply,
    classifier="dense2",
    optimizer=sgd_with_cosine_decay,
    learning_rate=0.1,
    data_parallel=True,
    augment=partial(random_shift, pixels=1),
)
