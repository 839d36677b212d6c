"""Random changes of training images that leave the class as it is."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def random_shift(key: jax.Array, images: jax.Array, *, pixels: int) -> jax.Array:
    """Move each image by up to `pixels` in either direction; what comes in is black.

    Args:
        key: Decides the moves.
        images: float32 [B, height, width, channels].
        pixels: The largest move along either axis.
    """
    batch, *shape = images.shape
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    corners = jax.random.randint(key, (batch, 2), 0, 2 * pixels + 1)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), shape)

    return jax.vmap(crop)(padded, corners)
