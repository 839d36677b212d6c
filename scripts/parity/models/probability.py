"""Probabilistic programming: densities, and draws from a key that is an input."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case


@case()
def numpyro_log_density() -> Any:
    """Log-densities of numpyro's distributions."""
    import numpyro.distributions as dist

    def func(params: Any, x: jax.Array) -> dict[str, jax.Array]:
        mixture = dist.MixtureSameFamily(
            dist.Categorical(logits=params["logits"]), dist.Normal(params["means"], 0.5)
        )
        return {
            "mixture": mixture.log_prob(x[:, 0]),
            "student": dist.StudentT(4.0).log_prob(x[:, 1]),
            "gamma": dist.Gamma(2.0, 1.0).log_prob(jnp.abs(x[:, 2]) + 0.1),
            "beta": dist.Beta(2.0, 3.0).log_prob(jax.nn.sigmoid(x[:, 3])),
            "joint": dist.MultivariateNormal(jnp.zeros(4), scale_tril=params["factor"]).log_prob(x),
        }

    params = {
        "logits": jnp.array([0.1, -0.3, 0.4]),
        "means": jnp.array([-1.0, 0.0, 2.0]),
        "factor": jnp.eye(4) + 0.3 * jnp.tril(jnp.ones((4, 4))),
    }
    return func, params, TensorSpec(("b", 4))


@case(edges=False)
def numpyro_predictive() -> Any:
    """Posterior predictive of numpyro, its key an input."""
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import Predictive

    def regression(x: jax.Array) -> None:
        slope = numpyro.sample("slope", dist.Normal(0, 1).expand([3]).to_event(1))
        numpyro.sample("y", dist.Normal(x @ slope, 0.1))

    def func(posterior: jax.Array, inputs: Any) -> jax.Array:
        predictive = Predictive(regression, {"slope": posterior})
        draws = predictive(jax.random.wrap_key_data(inputs["key"]), inputs["x"])["y"]
        return draws.mean(0)

    posterior = jax.random.normal(jax.random.key(0), (20, 3))
    return func, posterior, {"key": TensorSpec((2,), "uint32"), "x": TensorSpec(("b", 3))}


@case(edges=False)
def random_draws() -> Any:
    """Draws from a key that is an input: normal, categorical, permutation."""

    def func(params: jax.Array, inputs: Any) -> dict[str, jax.Array]:
        keys = jax.random.split(jax.random.wrap_key_data(inputs["key"]), 3)
        x = inputs["x"]
        return {
            "noisy": x + params * jax.random.normal(keys[0], (4,)),
            "chosen": jax.random.categorical(keys[1], jnp.arange(4.0), shape=(8,)),
            "shuffled": jax.random.permutation(keys[2], 6),
        }

    return func, jnp.float32(0.1), {"key": TensorSpec((2,), "uint32"), "x": TensorSpec(("b", 4))}


@case()
def autoencoder() -> Any:
    """Variational autoencoder: a draw in the middle from a fixed key."""

    def func(params: Any, inputs: Any) -> dict[str, jax.Array]:
        mean, log_scale = jnp.split(inputs["x"] @ params["encoder"], 2, -1)
        noise = jax.random.normal(jax.random.key(7), (2,))
        return {"x": jax.nn.sigmoid((mean + jnp.exp(log_scale) * noise) @ params["decoder"])}

    keys = jax.random.split(jax.random.key(0))
    params = {
        "encoder": jax.random.normal(keys[0], (6, 4)) * 0.3,
        "decoder": jax.random.normal(keys[1], (2, 6)),
    }
    return func, params, {"x": TensorSpec(("b", 6))}


@case(edges=False)
def kalman_filter() -> Any:
    """Kalman filter: a scan over 2x2 matrices."""

    def func(params: Any, observed: jax.Array) -> jax.Array:
        move, noise = params["move"], params["noise"]

        def step(state: Any, y: jax.Array) -> Any:
            mean, covariance = state
            mean, covariance = move @ mean, move @ covariance @ move.T + noise
            gain = covariance[:, 0] / (covariance[0, 0] + 0.5)
            mean = mean + gain * (y - mean[0])
            covariance = covariance - jnp.outer(gain, covariance[0])
            return (mean, covariance), mean

        def run(ys: jax.Array) -> jax.Array:
            return jax.lax.scan(step, (jnp.zeros(2), jnp.eye(2)), ys)[1]

        return jax.vmap(run)(observed)

    params = {"move": jnp.array([[1.0, 0.1], [0.0, 1.0]]), "noise": jnp.eye(2) * 0.01}
    return func, params, TensorSpec(("b", 9))
