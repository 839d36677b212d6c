"""A recurrent network, run by `lax.scan`: a label for the sequence and one for each step."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from exporter.model import Model, TensorSpec


class Network(nn.Module):
    @nn.compact
    def __call__(self, sequence: jax.Array) -> tuple[jax.Array, jax.Array]:
        forward = nn.RNN(nn.LSTMCell(16))(sequence)
        backward = nn.RNN(nn.GRUCell(16), reverse=True, keep_order=True)(sequence)
        states = jnp.concatenate([forward, backward], axis=-1)
        return nn.Dense(4)(states[:, -1]), nn.Dense(2)(states)


def model() -> Model:
    params = Network().init(jax.random.key(7), jnp.zeros((1, 9, 5)))["params"]
    return Model(
        "lstm",
        lambda params, sequence: Network().apply({"params": params}, sequence),
        params,
        TensorSpec(("b", 9, 5)),
    )
