"""Equinox: a module that takes one sample, mapped over the batch."""

import equinox as eqx
import jax

from exporter.model import Model
from exporter.model.from_function import model_from_function


def model() -> Model:
    network = eqx.nn.MLP(5, 4, width_size=16, depth=2, key=jax.random.key(11))
    params, static = eqx.partition(network, eqx.is_array)

    def func(params: eqx.Module, x: jax.Array) -> jax.Array:
        return jax.vmap(eqx.combine(params, static))(x)

    return model_from_function("equinox_mlp", func, params, jax.ShapeDtypeStruct((1, 5), "float32"))
