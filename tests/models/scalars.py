"""No batch: a number, a vector and an array without elements."""

import jax.numpy as jnp
import numpy as np

from exporter.model import Model, TensorSpec


def model() -> Model:
    return Model(
        "scalars",
        lambda params, x: {
            "scaled": params * x["number"] * x["vector"],
            "sum": x["vector"].sum() + x["empty"].sum(),
            "empty": jnp.exp(x["empty"]),
        },
        np.float32(1.5),
        {
            "number": TensorSpec(()),
            "vector": TensorSpec((5,)),
            "empty": TensorSpec((0, 3)),
        },
    )
