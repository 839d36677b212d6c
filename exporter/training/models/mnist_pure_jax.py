"""A perceptron for MNIST in nothing but JAX: 784-512-512-10, 669,706 parameters."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp

from exporter.model import PyTree, TensorSpec
from exporter.training.augmentation import random_shift
from exporter.training.models.definition import ModelDefinition
from exporter.training.optimizers import sgd_with_cosine_decay

SIZES = (784, 512, 512, 10)
INIT_SCALE = 0.1


def init(key: jax.Array) -> PyTree:
    """Kernels and biases from a normal distribution with a standard deviation of 0.1."""
    params = {}
    for layer, (inputs, outputs) in enumerate(pairwise(SIZES), start=1):
        key, kernel_key, bias_key = jax.random.split(key, 3)
        params[f"dense{layer}"] = {
            "kernel": INIT_SCALE * jax.random.normal(kernel_key, (inputs, outputs)),
            "bias": INIT_SCALE * jax.random.normal(bias_key, (outputs,)),
        }
    return params


def apply(params: PyTree, images: jax.Array, with_classifier: bool) -> jax.Array:
    """Run the network on float32 [B, 28, 28, 1]; the features are [B, 512]."""
    x = images.reshape((images.shape[0], -1))
    x = jnp.tanh(_dense(params["dense1"], x))
    x = jnp.tanh(_dense(params["dense2"], x))
    if not with_classifier:
        return x
    return jax.nn.log_softmax(_dense(params["dense3"], x))


def _dense(layer: PyTree, x: jax.Array) -> jax.Array:
    return x @ layer["kernel"] + layer["bias"]


DEFINITION = ModelDefinition(
    name="mnist_pure_jax",
    inputs=TensorSpec(("b", 28, 28, 1)),
    init=init,
    apply=apply,
    classifier="dense3",
    optimizer=sgd_with_cosine_decay,
    learning_rate=0.1,
    augment=partial(random_shift, pixels=1),
)
