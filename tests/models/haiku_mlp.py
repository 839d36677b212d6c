"""Haiku: a transformed function, whose parameters are named like `mlp/~/linear_0`."""

import haiku as hk
import jax
import jax.numpy as jnp

from exporter.model import Model
from exporter.model.from_function import model_from_function


def model() -> Model:
    network = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([16, 3])(x)))
    example = jax.random.normal(jax.random.key(12), (4, 7))
    params = network.init(jax.random.key(13), jnp.zeros_like(example))
    return model_from_function("haiku_mlp", network.apply, params, example)
