"""A network whose parameters, inputs and outputs are bfloat16."""

import jax
import jax.numpy as jnp

from exporter.model import Model
from exporter.model.from_function import model_from_function


def model() -> Model:
    keys = jax.random.split(jax.random.key(16))
    params = [jax.random.normal(key, (8, 8), jnp.bfloat16) / 3 for key in keys]
    return model_from_function(
        "bfloat16",
        lambda params, x: jnp.tanh(jnp.tanh(x @ params[0]) @ params[1]),
        params,
        jax.ShapeDtypeStruct((1, 8), jnp.bfloat16),
    )
