"""An image beside two numbers and a count, to scores of five classes and one value."""

import jax
import jax.numpy as jnp

from exporter import (
    CLASSIFY,
    REGRESS,
    Classes,
    Feature,
    ImageFile,
    ProcessedSignature,
    Value,
)
from exporter.model import Model, TensorSpec

CLASSES = ("ant", "bee", "Käfer", "moth", "fly")


def func(params, inputs):
    pixels = inputs["image"].reshape((inputs["image"].shape[0], -1))
    joint = jnp.concatenate([pixels, inputs["size"], inputs["legs"][:, None] / 6.0], axis=-1)
    hidden = jnp.tanh(joint @ params["hidden"])
    return {"logits": hidden @ params["classes"], "weight": hidden @ params["weight"]}


def model() -> Model:
    keys = jax.random.split(jax.random.key(3), 3)
    sizes = {"hidden": (9 * 7 * 3 + 3, 16), "classes": (16, len(CLASSES)), "weight": (16, 1)}
    image = ImageFile("photo", mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.125))
    best = Classes(CLASSES, count=3, output="logits")
    return Model(
        "image_and_size",
        func,
        {
            name: jax.random.normal(key, shape) / 3
            for key, (name, shape) in zip(keys, sizes.items(), strict=True)
        },
        {
            "image": TensorSpec(("b", 9, 7, 3)),
            "size": TensorSpec(("b", 2)),
            "legs": TensorSpec(("b",), "int32"),
        },
        processed={
            "photo": ProcessedSignature({"image": image}, best),
            "classify": ProcessedSignature(
                {"image": image, "legs": Feature("legs", default=6)}, best, CLASSIFY
            ),
            "regress": ProcessedSignature({"image": image}, Value("weight"), REGRESS),
        },
    )
