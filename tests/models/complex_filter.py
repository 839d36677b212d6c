"""A complex filter of a signal's spectrum: complex parameters and outputs."""

import jax
import jax.numpy as jnp

from exporter.model import Model
from exporter.model.from_function import model_from_function


def model() -> Model:
    real, imaginary = jax.random.normal(jax.random.key(17), (2, 16))
    return model_from_function(
        "complex_filter",
        lambda params, x: {"spectrum": jnp.fft.fft(x) * params, "power": jnp.abs(x) ** 2},
        real + 1j * imaginary,
        jax.ShapeDtypeStruct((1, 16), "complex64"),
    )
