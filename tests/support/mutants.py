"""A small network, whose written files the tests of formats break in many ways."""

import jax
import numpy as np

from exporter import Model, TensorSpec


def func(params, image):
    pooled = jax.lax.conv_general_dilated(
        image, params["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    hidden = jax.nn.relu(pooled - 0.5).reshape(-1, 6 * 6 * 8)
    wide = jax.numpy.tanh(hidden @ params["wide"] + params["offset"])
    scores = wide @ params["square"] + params["bias"]
    return {"scores": scores, "wide": wide, "class": scores.argmax(-1)}


def model(func=func):
    rng = np.random.default_rng(0)

    def normal(*shape):
        return (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    params = {
        "kernel": normal(3, 3, 1, 8),
        "wide": normal(6 * 6 * 8, 16),
        "offset": normal(16),
        "square": normal(16, 16),
        "bias": normal(16),
    }
    return Model("mutant", func, params, TensorSpec(("b", 6, 6, 1)))
