"""Several inputs and outputs of open length, under a constraint, with two more signatures."""

from typing import Any

import jax
import jax.numpy as jnp

from exporter.model import Model, Signature, TensorSpec


def _embed(params: dict[str, jax.Array], tokens: jax.Array) -> jax.Array:
    return params["table"][tokens]


def _pool(params: dict[str, jax.Array], inputs: dict[str, Any]) -> jax.Array:
    weights = inputs["mask"][..., None].astype(jnp.float32)
    total = (_embed(params, inputs["tokens"]) * weights).sum(axis=1)
    return total / jnp.maximum(weights.sum(axis=1), 1)


def _predict(params: dict[str, jax.Array], inputs: dict[str, Any]) -> dict[str, jax.Array]:
    batch, length = inputs["tokens"].shape
    pairs = inputs["tokens"].reshape(batch, length // 2, 2)
    return {
        "scores": jax.nn.log_softmax(_pool(params, inputs) @ params["kernel"]),
        "count": inputs["mask"].sum(axis=1),
        "pairs": pairs.max(axis=-1),
    }


def model() -> Model:
    table, kernel = (jax.random.normal(jax.random.key(k), (30, 8)) for k in (14, 15))
    tokens, mask = TensorSpec(("b", "s"), "int32"), TensorSpec(("b", "s"), "bool")
    constraints = ("s <= 64", "mod(s, 2) == 0")
    return Model(
        "sequences",
        _predict,
        {"table": table, "kernel": kernel[:8, :3]},
        {"tokens": tokens, "mask": mask},
        constraints=constraints,
        signatures={
            "features": Signature(_pool, {"tokens": tokens, "mask": mask}, constraints=constraints),
            "embed": Signature(_embed, tokens),
        },
    )
