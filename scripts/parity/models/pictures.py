"""What stands before and behind vision models."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from exporter import TensorSpec
from scripts.parity.case import case


@case(
    ranges={"inputs": (0, 255)},
)
def image_preprocessing() -> Any:
    """Images in uint8: resized, normalised, and back by saturating casts."""

    def func(params: Any, images: jax.Array) -> dict[str, jax.Array]:
        x = images.astype(jnp.float32) / 255
        small = jax.image.resize(x, (x.shape[0], 6, 6, 3), "bilinear")
        normal = (small - params["mean"]) / params["std"]
        bright = jnp.clip(jnp.round(x * params["gain"] * 255), 0, 255).astype(jnp.uint8)
        return {
            "normal": normal,
            "bright": bright,
            "unclipped": (normal * 100).astype(jnp.uint8),
            "gray": (images @ params["gray"]).astype(jnp.uint8),
            "flipped": images[:, :, ::-1],
            "sum": images.sum((1, 2), dtype=jnp.int32),
        }

    params = {
        "mean": jnp.array([0.48, 0.45, 0.40]),
        "std": jnp.array([0.23, 0.22, 0.22]),
        "gain": jnp.float32(1.7),
        "gray": jnp.array([0.299, 0.587, 0.114]),
    }
    return func, params, TensorSpec(("b", 8, 8, 3), "uint8")


@case()
def box_suppression() -> Any:
    """Boxes: overlaps and a greedy suppression in a fori_loop."""

    def overlap(a: jax.Array, b: jax.Array) -> jax.Array:
        low, high = jnp.maximum(a[:2], b[:2]), jnp.minimum(a[2:], b[2:])
        shared = jnp.prod(jnp.maximum(high - low, 0))
        return shared / (jnp.prod(a[2:] - a[:2]) + jnp.prod(b[2:] - b[:2]) - shared + 1e-6)

    def func(threshold: jax.Array, inputs: Any) -> dict[str, jax.Array]:
        def one(corners: jax.Array, scores: jax.Array) -> jax.Array:
            boxes = jnp.concatenate([corners[:, :2], corners[:, :2] + jnp.abs(corners[:, 2:])], 1)
            boxes = boxes[jnp.argsort(-scores)]
            table = jax.vmap(lambda a: jax.vmap(lambda b: overlap(a, b))(boxes))(boxes)

            def step(i: jax.Array, kept: jax.Array) -> jax.Array:
                bad = (table[i] > threshold) & (jnp.arange(6) > i) & kept[i]
                return kept & ~bad

            return jax.lax.fori_loop(0, 6, step, jnp.ones(6, bool))

        return {"kept": jax.vmap(one)(inputs["corners"], inputs["scores"])}

    return (
        func,
        jnp.float32(0.3),
        {"corners": TensorSpec(("b", 6, 4)), "scores": TensorSpec(("b", 6))},
    )


@case()
def volumes_and_patches() -> Any:
    """Convolution in three dimensions, and patches of an image."""

    def func(params: Any, inputs: Any) -> dict[str, jax.Array]:
        volume = jax.lax.conv_general_dilated(
            inputs["volume"],
            params["kernel"],
            (1, 1, 1),
            "SAME",
            dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
        )
        image = inputs["image"]
        patches = image.reshape((-1, 2, 4, 2, 4, 3)).transpose(0, 1, 3, 2, 4, 5)
        return {"volume": volume, "tokens": patches.reshape((-1, 4, 48)) @ params["embed"]}

    keys = jax.random.split(jax.random.key(0))
    params = {
        "kernel": jax.random.normal(keys[0], (3, 3, 3, 2, 4)) / 5,
        "embed": jax.random.normal(keys[1], (48, 8)) / 7,
    }
    return (
        func,
        params,
        {"volume": TensorSpec(("b", 4, 4, 4, 2)), "image": TensorSpec(("b", 8, 8, 3))},
    )


@case()
def grid_sampling() -> Any:
    """Bilinear sampling at given places: map_coordinates."""

    def func(scale: jax.Array, inputs: Any) -> jax.Array:
        def one(image: jax.Array, places: jax.Array) -> jax.Array:
            at = [places[:, 0] * scale, places[:, 1] * scale]
            return jax.scipy.ndimage.map_coordinates(image, at, order=1, mode="nearest")

        return jax.vmap(one)(inputs["image"], inputs["places"])

    return (
        func,
        jnp.float32(3.0),
        {"image": TensorSpec(("b", 6, 6)), "places": TensorSpec(("b", 5, 2))},
    )
