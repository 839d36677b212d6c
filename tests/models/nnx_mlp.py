"""Flax nnx, ready to infer: dense layers, batch normalisation and a dropout that is off."""

import jax
from flax import nnx

from exporter.model import Model
from exporter.model.from_function import model_from_function


class Network(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(6, 16, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.scores = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.scores(self.dropout(nnx.relu(self.norm(self.hidden(x)))))


def model() -> Model:
    network = Network(nnx.Rngs(10))
    network.eval()
    graph, params, random = nnx.split(network, (nnx.Param, nnx.BatchStat), ...)

    def func(params: nnx.State, x: jax.Array) -> jax.Array:
        scores: jax.Array = nnx.merge(graph, params, random)(x)
        return scores

    return model_from_function("nnx_mlp", func, params, jax.ShapeDtypeStruct((1, 6), "float32"))
