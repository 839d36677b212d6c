"""Haiku: functions that are transformed into a pair of init and apply."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case


@case()
def haiku_mlp() -> Any:
    """MLP of Haiku."""
    import haiku as hk

    return _transformed(lambda x: hk.nets.MLP([16, 3])(x), (6,))


@case()
def haiku_lstm() -> Any:
    """LSTM of Haiku, unrolled."""
    import haiku as hk

    def network(x: jax.Array) -> jax.Array:
        core = hk.LSTM(8)
        states, _ = hk.dynamic_unroll(core, jnp.swapaxes(x, 0, 1), core.initial_state(x.shape[0]))
        return hk.Linear(2)(states[-1])

    return _transformed(network, (5, 4))


@case()
def haiku_wide_resnet() -> Any:
    """Block of a wide ResNet, with Haiku's state."""
    import haiku as hk

    def network(x: jax.Array, is_training: bool) -> jax.Array:
        def norm(y: jax.Array) -> jax.Array:
            return hk.BatchNorm(True, True, 0.9)(y, is_training)

        y = hk.Conv2D(8, 3, stride=2)(jax.nn.relu(norm(x)))
        y = hk.Conv2D(8, 3)(jax.nn.relu(norm(y)))
        y = y + hk.Conv2D(8, 1, stride=2)(x)
        return hk.Linear(5)(hk.AvgPool(2, 2, "SAME")(y).mean((1, 2)))

    transformed = hk.transform_with_state(network)
    images = jax.random.normal(jax.random.key(1), (4, 8, 8, 4))
    params, state = transformed.init(jax.random.key(0), images, True)

    def func(variables: Any, x: jax.Array) -> jax.Array:
        return transformed.apply(variables["params"], variables["state"], None, x, False)[0]

    return func, {"params": params, "state": state}, TensorSpec(("b", 8, 8, 4))


def _transformed(network: Any, shape: tuple[int, ...]) -> Any:
    import haiku as hk

    transformed = hk.without_apply_rng(hk.transform(network))
    params = jax.jit(transformed.init)(jax.random.key(0), jnp.ones((2, *shape)))
    return transformed.apply, params, TensorSpec(("b", *shape))
